//! The report as one page: for a screen, a telephone and paper, complete in itself.
//!
//! Every text that is not ours goes through [`html`]; the page has no script, and nothing in
//! it is fetched from anywhere.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use notify::Language;
use notify::text::{html, line, short};

use super::chart;
use super::compute::{
    Availability, ClassFigures, Held, IncidentLine, Preset, Report, TenantReport, Verdict,
};
use super::style::CSS;
use crate::kind::Severity;
use crate::words::{self, pick, seconds_text, thousands};

const MONTHS_ES: [&str; 12] = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
];
const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Incidents that one page lists of a tenant; the CSV and JSON have all.
const INCIDENTS: usize = 100;

/// The whole page.
pub fn to_html(report: &Report, language: Language) -> String {
    let page = Page {
        report,
        language,
        zone: TimeZone::get(&report.time_zone).unwrap_or(TimeZone::UTC),
    };
    let title = page.say(
        "Informe mensual de disponibilidad",
        "Monthly availability report",
    );
    let code = language.code();
    let name = html(&short(&report.installation, 80));
    let mut text = format!(
        "<!doctype html>\n<html lang=\"{code}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}, {}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n",
        report.month
    );
    text.push_str(&format!(
        "<header><p class=\"soft\">{name}</p><h1>{title}</h1><p>{}</p>{}</header>\n",
        page.period(),
        page.running(),
    ));
    if report.tenants.len() > 1 {
        text.push_str(&page.summary());
    }
    for tenant in &report.tenants {
        text.push_str(&page.tenant(tenant));
    }
    text.push_str(&page.footer());
    text.push_str("</main>\n</body>\n</html>\n");
    text
}

struct Page<'a> {
    report: &'a Report,
    language: Language,
    zone: TimeZone,
}

impl Page<'_> {
    fn say(&self, es: &'static str, en: &'static str) -> &'static str {
        pick(self.language, es, en)
    }

    /// `Marzo de 2026, hora de America/Mexico_City`.
    fn period(&self) -> String {
        let day = self.report.from.to_zoned(self.zone.clone()).date();
        let index = usize::from(day.month().unsigned_abs()).saturating_sub(1);
        let month = pick(self.language, MONTHS_ES, MONTHS_EN);
        let month = month.get(index).copied().unwrap_or_default();
        let zone = html(&self.report.time_zone);
        pick(
            self.language,
            format!("{month} de {}, hora de {zone}", day.year()),
            format!("{month} {}, time of {zone}", day.year()),
        )
    }

    fn running(&self) -> String {
        if !self.report.running {
            return String::new();
        }
        let until = words::moment(self.language, &self.zone, self.report.until);
        let text = self.say(
            "El mes no ha terminado. Datos hasta",
            "The month has not ended. Data until",
        );
        format!("<p class=\"note\">{text} {until}.</p>")
    }

    fn moment(&self, at: Timestamp) -> String {
        let pattern = pick(self.language, "%d/%m %H:%M", "%Y-%m-%d %H:%M");
        at.to_zoned(self.zone.clone()).strftime(pattern).to_string()
    }

    /// One line for each tenant.
    fn summary(&self) -> String {
        let title = self.say("Todos los clientes", "All clients");
        let heads = [
            (self.say("Cliente", "Client"), false),
            (self.say("Disponibilidad", "Availability"), true),
            (self.say("Sin servicio", "Down"), true),
            (self.say("Sin datos", "Unknown"), true),
            (self.say("Incidentes", "Incidents"), true),
            (self.say("Checadas", "Punches"), true),
        ];
        let rows: Vec<Vec<String>> = self
            .report
            .tenants
            .iter()
            .map(|it| self.summary_row(it))
            .collect();
        format!(
            "<section><h2>{title}</h2>{}</section>\n",
            table(&heads, &rows)
        )
    }

    fn summary_row(&self, tenant: &TenantReport) -> Vec<String> {
        let it = &tenant.availability;
        vec![
            html(&short(&tenant.name, 60)),
            self.percent(it),
            time(it.down),
            time(it.unknown),
            tenant.incidents.len().to_string(),
            count(tenant.punches),
        ]
    }

    fn tenant(&self, tenant: &TenantReport) -> String {
        let language = self.language;
        let name = html(&short(&tenant.name, 80));
        format!(
            "<section><h2>{name}</h2>\n{}\n<h3>{}</h3>{}{}\n<h3>{}</h3>{}\n<h3>{}</h3>{}\n\
             <h3>{}</h3>{}\n<h3>{}</h3>{}\n{}</section>\n",
            self.cards(tenant),
            self.say("Operación de cada día", "Standing of each day"),
            chart::standings(&tenant.days, language),
            self.key(),
            self.say("Compromiso de disponibilidad", "Promised availability"),
            self.promises(&tenant.availability),
            self.say("Registros de asistencia recibidos", "Punches received"),
            chart::punches(&tenant.days, language),
            self.say("Incidentes por clase", "Incidents by class"),
            self.classes(&tenant.classes),
            self.say("Incidentes", "Incidents"),
            self.incidents(&tenant.incidents),
            self.backups(tenant),
        )
    }

    fn cards(&self, tenant: &TenantReport) -> String {
        let it = &tenant.availability;
        let critical = |line: &&IncidentLine| line.severity == Severity::Critical;
        let critical = tenant.incidents.iter().filter(critical).count();
        let incidents = format!("{} ({critical})", tenant.incidents.len());
        let cards = [
            (self.percent(it), self.say("disponibilidad", "availability")),
            (
                time(it.down),
                self.say("sin servicio (falta completa)", "down"),
            ),
            (
                time(it.partial),
                self.say("con falta parcial", "partly down"),
            ),
            (
                incidents,
                self.say("incidentes (críticos)", "incidents (critical)"),
            ),
            (
                count(tenant.punches),
                self.say("checadas recibidas", "punches received"),
            ),
        ];
        let card = |(figure, words): &(String, &str)| {
            format!("<div class=\"card\"><b>{figure}</b><span>{words}</span></div>")
        };
        let cards: String = cards.iter().map(card).collect();
        format!("<div class=\"cards\">{cards}</div>")
    }

    fn percent(&self, it: &Availability) -> String {
        match it.millionths {
            Some(millionths) => percent(millionths),
            None => self.say("sin datos", "unknown").to_owned(),
        }
    }

    fn key(&self) -> String {
        let keys = [
            ("ok", "✓", self.say("operación normal", "all well")),
            ("partial", "!", self.say("falta parcial", "partly down")),
            ("down", "×", self.say("falta completa", "down")),
            ("unknown", "?", self.say("sin datos", "unknown")),
        ];
        let key = |(class, sign, words): &(&str, &str, &str)| {
            format!("<span><b class=\"{class}\">{sign}</b> {words}</span>")
        };
        let keys: String = keys.iter().map(key).collect();
        format!("<p class=\"key\">{keys}</p>")
    }

    fn promises(&self, it: &Availability) -> String {
        let heads = [
            (self.say("Compromiso", "Promise"), false),
            (self.say("Resultado", "Result"), false),
            (self.say("Tiempo permitido", "Allowed"), true),
            (self.say("Usado", "Used"), true),
            (self.say("Queda", "Left"), true),
        ];
        let row = |held: &Held| {
            vec![
                promised(held.preset),
                self.verdict(held.verdict),
                time(held.budget),
                time(it.down),
                signed_time(held.left),
            ]
        };
        table(&heads, &it.held.iter().map(row).collect::<Vec<_>>())
    }

    fn verdict(&self, verdict: Verdict) -> String {
        let (class, words) = match verdict {
            Verdict::Kept => ("ok", self.say("✓ cumplido", "✓ kept")),
            Verdict::Broken => ("down", self.say("× no cumplido", "× not kept")),
            Verdict::Unknown => (
                "unknown",
                self.say(
                    "? no se puede afirmar: faltan datos",
                    "? cannot be said: data are missing",
                ),
            ),
        };
        format!("<b class=\"{class}\">{words}</b>")
    }

    fn classes(&self, classes: &[ClassFigures]) -> String {
        let heads = [
            (self.say("Clase", "Class"), false),
            (self.say("Incidentes", "Incidents"), true),
            (self.say("Críticos", "Critical"), true),
            (self.say("Enterado (media)", "Acknowledged (mean)"), true),
            (self.say("Recuperado (media)", "Repaired (mean)"), true),
            (self.say("El más largo", "Longest"), true),
            (self.say("RTO comprometido", "Promised RTO"), true),
            (self.say("Excedidos", "Exceeded"), true),
        ];
        let row = |it: &ClassFigures| {
            vec![
                words::of_class(self.language, it.class).to_owned(),
                it.opened.to_string(),
                it.critical.to_string(),
                maybe(it.to_acknowledge),
                maybe(it.to_repair),
                maybe(it.longest),
                time(it.promised),
                it.over_promise.to_string(),
            ]
        };
        table(&heads, &classes.iter().map(row).collect::<Vec<_>>())
    }

    fn incidents(&self, incidents: &[IncidentLine]) -> String {
        if incidents.is_empty() {
            return format!(
                "<p>{}</p>",
                self.say("Ninguno en este mes.", "None in this month.")
            );
        }
        let heads = [
            (self.say("Incidente", "Incident"), false),
            (self.say("Qué", "What"), false),
            (self.say("Abierto", "Opened"), true),
            (self.say("Enterado en", "Acknowledged in"), true),
            (self.say("Recuperado en", "Repaired in"), true),
        ];
        let rows: Vec<Vec<String>> = incidents
            .iter()
            .take(INCIDENTS)
            .map(|it| self.incident(it))
            .collect();
        let more = match incidents.len().saturating_sub(INCIDENTS) {
            0 => String::new(),
            more => format!("<p class=\"soft\">+{more}</p>"),
        };
        format!("{}{more}", table(&heads, &rows))
    }

    fn incident(&self, it: &IncidentLine) -> Vec<String> {
        let kind = words::of_kind(it.kind).title(self.language);
        let severity = words::of_severity(self.language, it.severity);
        let cause = it.cause.as_deref().unwrap_or_default();
        let cause = match line(cause).trim() {
            "" => String::new(),
            cause => format!(
                "<br><span class=\"soft\">{}</span>",
                html(&short(cause, 200))
            ),
        };
        vec![
            format!(
                "<span class=\"id\">{}</span><br><span class=\"soft\">{severity}</span>",
                html(&it.id)
            ),
            format!("{}{cause}", html(kind)),
            self.moment(it.opened_at),
            maybe(it.to_acknowledge),
            it.to_repair
                .map_or_else(|| self.say("sigue abierto", "still open").to_owned(), time),
        ]
    }

    fn backups(&self, tenant: &TenantReport) -> String {
        let title = self.say("Respaldos", "Backups");
        let text = match tenant.backup_worst_age.map(time) {
            Some(age) => pick(
                self.language,
                format!("El respaldo más reciente nunca tuvo más de {age}."),
                format!("The newest backup was never older than {age}."),
            ),
            None => self
                .say(
                    "NO APLICA: no hay datos de respaldos.",
                    "NOT APPLICABLE: nothing is known of backups.",
                )
                .to_owned(),
        };
        format!("<h3>{title}</h3><p>{text}</p>")
    }

    fn footer(&self) -> String {
        let text = self.say(
            "Disponibilidad: tiempo sin falta completa entre el tiempo del que hay datos, redondeado \
             hacia abajo. El tiempo sin datos nunca cuenta como bueno: si el compromiso depende de él, \
             el resultado es «no se puede afirmar». Una solución alternativa cuenta como recuperación. \
             Los incidentes compartidos por varios clientes aparecen en cada uno.",
            "Availability: time without a complete failure, of the time of which anything is known, \
             rounded down. Time of which nothing is known never counts as good: where a promise \
             depends on it, the result is that it cannot be said. A workaround counts as repair. \
             Incidents that several clients share stand with each of them.",
        );
        format!("<footer><p class=\"soft\">{text}</p></footer>\n")
    }
}

/// A table of cells that are HTML already. The flag of a heading: a column of numbers.
fn table(heads: &[(&str, bool)], rows: &[Vec<String>]) -> String {
    let class = |number: bool| if number { " class=\"n\"" } else { "" };
    let head: String = heads
        .iter()
        .map(|(words, number)| format!("<th{}>{words}</th>", class(*number)))
        .collect();
    let row = |cells: &Vec<String>| {
        let cells = cells.iter().zip(heads);
        let cells: String = cells
            .map(|(cell, (words, number))| {
                format!(
                    "<td{} data-l=\"{words}\"><span>{cell}</span></td>",
                    class(*number)
                )
            })
            .collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"wide\"><table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>"
    )
}

/// `99.987 %`, rounded down, so that 99.8 % is never shown of what was less.
fn percent(millionths: u32) -> String {
    let thousandths = millionths / 10;
    format!("{}.{:03} %", thousandths / 1000, thousandths % 1000)
}

/// `99.8 %`.
fn promised(preset: Preset) -> String {
    let tenths = preset.millionths / 1000;
    match tenths % 10 {
        0 => format!("{} %", tenths / 10),
        tenth => format!("{}.{tenth} %", tenths / 10),
    }
}

#[allow(clippy::cast_precision_loss, reason = "seconds of a month are exact")]
fn time(seconds: u64) -> String {
    seconds_text(seconds as f64)
}

fn signed_time(seconds: i64) -> String {
    let sign = if seconds < 0 { "−" } else { "" };
    format!("{sign}{}", time(seconds.unsigned_abs()))
}

fn maybe(seconds: Option<u64>) -> String {
    seconds.map_or_else(|| "—".to_owned(), time)
}

fn count(number: u64) -> String {
    thousands(i64::try_from(number).unwrap_or(i64::MAX))
}
