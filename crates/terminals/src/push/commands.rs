//! Commands in a poll's reply, and the results that answer them.
//!
//! A command is a line `C:<id>:<words>`; a line without that head is dropped without a word, as
//! firmware does. Of the commands only what a reader of events would send is carried out: INFO,
//! CHECK, LOG, the query of attendance rows and their count; everything else is answered "not
//! supported".

use event::WallTime;

/// "Not supported" in a result.
pub(super) const NOT_SUPPORTED: i64 = -1002;
/// "Parameter error" in a result.
pub(super) const WRONG_PARAMETER: i64 = -1;

/// Commands taken from one reply; firmware takes at most 200.
const MOST: usize = 200;

/// A command with the id that its result must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) id: String,
    pub(super) order: Order,
    /// The word that stands in the result's `CMD`.
    pub(super) name: String,
}

/// What a command wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Facts about the terminal.
    Info,
    /// Shake hands again.
    Check,
    /// Look for new records now.
    Log,
    /// Send the attendance rows of this time, both ends included.
    Query { from: WallTime, to: WallTime },
    /// Count the attendance rows of this time, both ends included.
    Sum { from: WallTime, to: WallTime },
    /// A query whose times cannot be read.
    BadQuery,
    /// Anything else.
    Other,
}

/// The commands in a poll's reply, in order.
pub(super) fn read(body: &[u8]) -> Vec<Command> {
    if !body.starts_with(b"C:") && !body.windows(3).any(|w| w == b"\nC:" || w == b"\rC:") {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(body);
    text.split(['\r', '\n'])
        .filter_map(command)
        .take(MOST)
        .collect()
}

fn command(line: &str) -> Option<Command> {
    let (id, words) = line.strip_prefix("C:")?.split_once(':')?;
    let words = words.trim();
    let order = match words {
        "INFO" => Order::Info,
        "CHECK" => Order::Check,
        "LOG" => Order::Log,
        _ => read_query(words),
    };
    let first = words.split_whitespace().next().unwrap_or_default();
    Some(Command {
        id: id.to_owned(),
        order,
        name: first.to_owned(),
    })
}

fn read_query(words: &str) -> Order {
    if let Some(times) = words.strip_prefix("DATA QUERY ATTLOG") {
        return span(times).map_or(Order::BadQuery, |(from, to)| Order::Query { from, to });
    }
    match words.strip_prefix("VERIFY SUM ATTLOG") {
        Some(times) => span(times).map_or(Order::BadQuery, |(from, to)| Order::Sum { from, to }),
        None => Order::Other,
    }
}

/// `StartTime=…<TAB>EndTime=…`; parted by blanks instead, firmware answers an error.
fn span(parameters: &str) -> Option<(WallTime, WallTime)> {
    let value = |key: &str| {
        let mut fields = parameters.trim_start().split('\t');
        fields.find_map(|f| WallTime::parse(f.trim().strip_prefix(key)?.as_bytes()))
    };
    value("StartTime=").zip(value("EndTime="))
}

/// The result of a count as it is posted: its times come back, and older firmware names the
/// number otherwise.
pub(super) fn sum(
    command: &Command,
    (from, to): (WallTime, WallTime),
    sum: usize,
    old: bool,
) -> String {
    let (id, name) = (&command.id, if old { "AttlogCount" } else { "AttlogSum" });
    format!("ID={id}&Return=0&CMD=VERIFY SUM&StartTime={from}&EndTime={to}&{name}={sum}\n")
}

/// One result as it is posted.
pub(super) fn result(command: &Command, code: i64) -> String {
    format!("ID={}&Return={code}&CMD={}\n", command.id, command.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_line_by_line_and_lines_without_a_head_are_dropped() {
        let body = b"C:1:INFO\r\nREBOOT\nC:2:CHECK\nC:3:REBOOT\nC:x4:LOG\n";
        let orders: Vec<(String, Order)> =
            read(body).into_iter().map(|c| (c.id, c.order)).collect();
        let want = [
            ("1", Order::Info),
            ("2", Order::Check),
            ("3", Order::Other),
            ("x4", Order::Log),
        ];
        assert_eq!(orders, want.map(|(id, order)| (id.to_owned(), order)));
        assert!(read(b"OK").is_empty());
    }

    #[test]
    fn a_query_needs_both_times_parted_by_a_tab() {
        let good =
            "C:5:DATA QUERY ATTLOG StartTime=2026-11-01 00:00:00\tEndTime=2026-11-02T00:00:00\n";
        let command = read(good.as_bytes()).remove(0);
        let Order::Query { from, to } = &command.order else {
            panic!("{command:?}")
        };
        assert_eq!(from.to_string(), "2026-11-01 00:00:00");
        assert_eq!(to.to_string(), "2026-11-02 00:00:00");
        assert_eq!(result(&command, 2), "ID=5&Return=2&CMD=DATA\n");
        let sum = good.replace("DATA QUERY", "VERIFY SUM");
        let sum = read(sum.as_bytes()).remove(0);
        assert!(matches!(sum.order, Order::Sum { .. }), "{sum:?}");
        let blanks = good.replace('\t', " ");
        assert_eq!(read(blanks.as_bytes()).remove(0).order, Order::BadQuery);
    }
}
