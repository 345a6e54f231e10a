//! What a terminal may be told: orders with their exact texts.
//!
//! A text is only ever made from an [`Order`], and a text from elsewhere (a database that
//! somebody wrote to) is only taken when an order has exactly this text. What is in an order is
//! a checked date, a checked name or nothing, so that no order can carry a second one.

use event::{Text, WallTime};

use super::forms::{Class, Form, Policy, form_of};
use super::results::{self, CommandResult};
use crate::Dialect;
use crate::redact::is_secret;

/// Settings that [`Order::Info`] asks of an access-control terminal.
const INFO: &str = "~SerialNumber,FirmVer,~DeviceName,PushVersion,IPAddress,MACAddress,LockCount,ReaderCount,TransactionCount,~MaxAttLogCount,UserCount,~MaxUserCount";
/// Most settings asked for at once.
const MOST_OPTIONS: usize = 32;
/// All transactions, up to their filter.
const TRANSACTIONS: &str = "DATA QUERY tablename=transaction,fielddesc=*,filter=";

/// A span of the terminal's own time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    from: WallTime,
    to: WallTime,
}

impl Window {
    /// `None` when it ends before it begins.
    pub fn new(from: WallTime, to: WallTime) -> Option<Self> {
        (from <= to).then_some(Self { from, to })
    }

    /// Its first second.
    pub fn from(&self) -> WallTime {
        self.from
    }

    /// Its last second.
    pub fn to(&self) -> WallTime {
        self.to
    }

    /// True when that wall time lies in it.
    pub fn contains(&self, at: &WallTime) -> bool {
        self.from <= *at && *at <= self.to
    }

    /// The two keys as terminals read them: parted by a TAB, because with a blank they take the
    /// first one only.
    fn keys(&self, from: &str, to: &str) -> String {
        format!("{from}={}\t{to}={}", self.from, self.to)
    }
}

/// What a terminal is told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Tell about yourself.
    Info,
    /// Shake hands again.
    Check,
    /// Look for records that were not sent.
    Log,
    /// Start again.
    Reboot,
    /// Tell your time.
    Time,
    /// Tell these settings; made by [`Order::options`].
    Options(Vec<Text>),
    /// Send records again: those of a time, or all.
    Records(Option<Window>),
    /// Count records: those of a time, or all.
    Count(Option<Window>),
}

/// Why a text is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It does what this release does not do to terminals.
    #[error("it {}, which this release never does", .0.as_str().replace('_', " "))]
    Closed(Class),
    /// It was not measured in the dialect of this terminal, or does not exist there.
    #[error("this form was not measured on terminals in {0} mode")]
    NotMeasured(Dialect),
    /// It is not the text of any order.
    #[error("it is not one of the commands that may be sent")]
    Unknown,
}

/// What a result means for its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Done,
    /// There was nothing to send, or the terminal did not understand: it says the same for both.
    Empty,
    /// The terminal does not know this command, or not this table.
    Unsupported,
    /// It failed.
    Failed,
}

impl Order {
    /// Asks for these settings. `None` when there is none, too many, or one that is no name or
    /// holds a secret.
    pub fn options<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let names: Vec<Text> = names.into_iter().map(Text::new).collect();
        let usable = (1..=MOST_OPTIONS).contains(&names.len());
        (usable && names.iter().all(|name| is_option(name))).then_some(Self::Options(names))
    }

    /// Our own word for its form.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Check => "check",
            Self::Log => "log",
            Self::Reboot => "reboot",
            Self::Time => "time",
            Self::Options(_) => "options",
            Self::Records(_) => "records",
            Self::Count(_) => "count",
        }
    }

    /// The text that a terminal of that dialect understands; `None` when it was not measured
    /// there.
    pub fn text(&self, dialect: Dialect) -> Option<String> {
        match dialect {
            Dialect::Attendance => self.attendance_text(),
            Dialect::Access => self.access_text(),
        }
    }

    fn attendance_text(&self) -> Option<String> {
        let fixed = |text: &str| Some(text.to_owned());
        match self {
            Self::Info => fixed("INFO"),
            Self::Check => fixed("CHECK"),
            Self::Log => fixed("LOG"),
            Self::Reboot => fixed("REBOOT"),
            Self::Records(Some(window)) => {
                let keys = window.keys("StartTime", "EndTime");
                Some(format!("DATA QUERY ATTLOG {keys}"))
            }
            Self::Count(Some(window)) => {
                let keys = window.keys("StartTime", "EndTime");
                Some(format!("VERIFY SUM ATTLOG {keys}"))
            }
            Self::Time | Self::Options(_) | Self::Records(None) | Self::Count(None) => None,
        }
    }

    fn access_text(&self) -> Option<String> {
        match self {
            Self::Info => Some(format!("GET OPTIONS {INFO}")),
            Self::Time => Some("GET OPTIONS DateTime".to_owned()),
            Self::Options(names) => Some(format!("GET OPTIONS {}", names.join(","))),
            Self::Records(None) => Some(format!("{TRANSACTIONS}*")),
            Self::Records(Some(window)) => {
                let keys = window.keys("starttime", "endtime");
                Some(format!("{TRANSACTIONS}{keys}"))
            }
            Self::Count(None) => Some("DATA COUNT transaction,filter=*".to_owned()),
            Self::Reboot => Some("CONTROL DEVICE 03000000".to_owned()),
            Self::Check | Self::Log | Self::Count(Some(_)) => None,
        }
    }

    /// The order that has exactly this text in that dialect.
    ///
    /// # Errors
    /// Why it is not sent.
    pub fn parse(text: &str, dialect: Dialect, policy: Policy) -> Result<Self, Denied> {
        let read = read(text).filter(|order| order.text(dialect).as_deref() == Some(text));
        let form = form_of(text);
        match (read, form) {
            (Some(order), Some(form)) if policy.allows(form.class) => Ok(order),
            (_, Some(form)) if !policy.allows(form.class) => Err(Denied::Closed(form.class)),
            (_, Some(form)) if !is_measured(form, dialect) => Err(Denied::NotMeasured(dialect)),
            _ => Err(Denied::Unknown),
        }
    }

    /// What it does to the terminal.
    pub fn class(&self) -> Class {
        match self {
            Self::Reboot => Class::Restarts,
            _ => Class::Reads,
        }
    }

    /// True when it may be sent a second time, because its answer may have been lost.
    pub fn may_be_repeated(&self) -> bool {
        self.class() == Class::Reads
    }

    /// True when records come as its answer.
    pub fn brings_records(&self) -> bool {
        matches!(self, Self::Records(_))
    }

    /// True when the answer is everything that the terminal holds.
    pub fn asks_for_everything(&self) -> bool {
        matches!(self, Self::Records(None))
    }

    /// The time that it is about.
    pub fn window(&self) -> Option<Window> {
        match self {
            Self::Records(window) | Self::Count(window) => *window,
            _ => None,
        }
    }

    /// What a result means.
    pub fn outcome(&self, code: Option<i64>) -> Outcome {
        match code {
            Some(0..) => Outcome::Done,
            Some(-1 | -4) if self.brings_records() => Outcome::Empty,
            Some(code) if results::is_unsupported(code) => Outcome::Unsupported,
            _ => Outcome::Failed,
        }
    }

    /// The number that an answer to [`Order::Count`] holds, from its result or its list.
    pub fn count_in(&self, result: &CommandResult) -> Option<u64> {
        const KEYS: [&str; 4] = ["AttlogSum", "AttlogCount", "transaction", "count"];
        let is_count = |key: &Text| KEYS.iter().any(|known| key.eq_ignore_ascii_case(known));
        let counted = matches!(self, Self::Count(_));
        let pair = result
            .extra
            .iter()
            .find(|(key, _)| counted && is_count(key));
        pair.and_then(|(_, value)| value.trim().parse().ok())
    }
}

fn is_measured(form: &Form, dialect: Dialect) -> bool {
    match dialect {
        Dialect::Attendance => form.attendance.is_some(),
        Dialect::Access => form.access.is_some(),
    }
}

fn is_option(name: &str) -> bool {
    let bare = name.strip_prefix('~').unwrap_or(name);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=32).contains(&bare.len()) && bare.bytes().all(plain) && !is_secret(bare.as_bytes())
}

/// The order that a text seems to be; whether it really is shows when it is written again.
fn read(text: &str) -> Option<Order> {
    let simple = [
        Order::Info,
        Order::Check,
        Order::Log,
        Order::Reboot,
        Order::Time,
        Order::Records(None),
        Order::Count(None),
    ];
    let same = |order: &Order| {
        let is = |dialect| order.text(dialect).as_deref() == Some(text);
        Dialect::ALL.into_iter().any(is)
    };
    if let Some(order) = simple.into_iter().find(same) {
        return Some(order);
    }
    if let Some(names) = text.strip_prefix("GET OPTIONS ") {
        return Order::options(names.split(','));
    }
    let window = |start: &str| window(text.strip_prefix(start)?);
    window("DATA QUERY ATTLOG ")
        .or_else(|| window(TRANSACTIONS))
        .map(|window| Order::Records(Some(window)))
        .or_else(|| Some(Order::Count(Some(window("VERIFY SUM ATTLOG ")?))))
}

fn window(keys: &str) -> Option<Window> {
    let (from, to) = keys.split_once('\t')?;
    let time = |pair: &str| WallTime::parse(pair.split_once('=')?.1.as_bytes());
    Window::new(time(from)?, time(to)?)
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
