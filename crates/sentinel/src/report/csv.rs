//! The report as a table for spreadsheets: one measure on each line, in words that do not
//! depend on a language.
//!
//! Spreadsheets run cells that begin with certain characters as formulas. Cells with text of
//! strangers pass through [`cell`]; numbers and words of ours need not.

use std::borrow::Cow;

use super::compute::{Availability, ClassFigures, IncidentLine, Report, TenantReport};

const HEADINGS: [&str; 7] = [
    "month", "tenant", "name", "section", "item", "measure", "value",
];

/// A cell that no spreadsheet takes for a formula.
pub fn cell(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The whole report; lines end as RFC 4180 wants.
pub fn to_csv(report: &Report) -> String {
    let mut table = Table {
        writer: csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new()),
        month: report.month.clone(),
        tenant: String::new(),
        name: String::new(),
    };
    table.write(&HEADINGS.map(Cow::Borrowed));
    for tenant in &report.tenants {
        table.tenant = cell(&tenant.tenant).into_owned();
        table.name = cell(&notify::text::line(&tenant.name)).into_owned();
        table.tenant(tenant);
    }
    let bytes = table.writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

struct Table {
    writer: csv::Writer<Vec<u8>>,
    month: String,
    tenant: String,
    name: String,
}

impl Table {
    fn write(&mut self, cells: &[Cow<'_, str>]) {
        // Into memory, with as many cells each time: neither can fail.
        let written = self
            .writer
            .write_record(cells.iter().map(|cell| cell.as_bytes()));
        debug_assert!(written.is_ok());
    }

    fn row(&mut self, section: &str, item: &str, measure: &str, value: &str) {
        let (month, tenant, name) = (self.month.clone(), self.tenant.clone(), self.name.clone());
        let ours = [section, item, measure, value].map(Cow::Borrowed);
        let mut cells = vec![Cow::Owned(month), Cow::Owned(tenant), Cow::Owned(name)];
        cells.extend(ours);
        self.write(&cells);
    }

    fn number(&mut self, section: &str, item: &str, measure: &str, value: Option<u64>) {
        let value = value.map(|it| it.to_string()).unwrap_or_default();
        self.row(section, item, measure, &value);
    }

    fn tenant(&mut self, tenant: &TenantReport) {
        self.availability(&tenant.availability);
        self.number("punches", "", "received", Some(tenant.punches));
        self.number("backups", "", "worst_age_seconds", tenant.backup_worst_age);
        for class in &tenant.classes {
            self.class(class);
        }
        for incident in &tenant.incidents {
            self.incident(incident);
        }
        for day in &tenant.days {
            let date = day.day.to_string();
            let seconds = [
                ("ok_seconds", day.ok),
                ("partial_seconds", day.partial),
                ("down_seconds", day.down),
                ("unknown_seconds", day.unknown),
            ];
            for (measure, value) in seconds {
                self.number("day", &date, measure, Some(value.into()));
            }
            self.number("day", &date, "punches", Some(day.punches));
        }
    }

    fn availability(&mut self, it: &Availability) {
        const NAME: &str = "availability";
        let measures = [
            ("ok_seconds", Some(it.ok)),
            ("partial_seconds", Some(it.partial)),
            ("down_seconds", Some(it.down)),
            ("unknown_seconds", Some(it.unknown)),
            ("millionths", it.millionths.map(u64::from)),
        ];
        for (measure, value) in measures {
            self.number(NAME, "", measure, value);
        }
        for held in &it.held {
            let item = held.preset.millionths.to_string();
            self.number(NAME, &item, "budget_seconds", Some(held.budget));
            self.row(NAME, &item, "left_seconds", &held.left.to_string());
            self.row(NAME, &item, "verdict", held.verdict.as_str());
        }
    }

    fn class(&mut self, it: &ClassFigures) {
        let measures = [
            ("opened", Some(it.opened.into())),
            ("critical", Some(it.critical.into())),
            ("mean_seconds_to_acknowledge", it.to_acknowledge),
            ("mean_seconds_to_repair", it.to_repair),
            ("longest_seconds", it.longest),
            ("promised_seconds", Some(it.promised)),
            ("over_promise", Some(it.over_promise.into())),
        ];
        for (measure, value) in measures {
            self.number("class", it.class.as_str(), measure, value);
        }
    }

    fn incident(&mut self, it: &IncidentLine) {
        const NAME: &str = "incident";
        self.row(NAME, &it.id, "class", it.class.as_str());
        self.row(NAME, &it.id, "kind", it.kind.as_str());
        self.row(NAME, &it.id, "severity", it.severity.as_str());
        self.row(NAME, &it.id, "opened_at", &it.opened_at.to_string());
        self.number(NAME, &it.id, "seconds_to_acknowledge", it.to_acknowledge);
        self.number(NAME, &it.id, "seconds_to_repair", it.to_repair);
        let cause = notify::text::short(it.cause.as_deref().unwrap_or_default(), 300);
        self.row(NAME, &it.id, "cause", &cell(&cause));
    }
}
