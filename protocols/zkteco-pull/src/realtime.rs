//! Real-time events: what a terminal says the moment it happens.
//!
//! Only attendance events are decoded. Their length tells their layout; a length that is not
//! known is kept as it came, because an event that cannot be read must not end the stream that
//! brings the next.

use bytes::Bytes;
use event::Text;
use nom::bytes::complete::take;
use nom::number::complete::{le_u16, le_u32, u8 as byte};
use nom::{IResult, Parser};

use crate::attlog::{BadId, ID_FIELD, Punch, Who, id_text};
use crate::time;

/// Flag of attendance events.
pub const ATTENDANCE: u16 = 1;

/// Length of the part of a text event that is understood; whatever follows is kept raw.
const TEXT_EVENT: usize = 32;
/// Longest single text event known.
const LONGEST: usize = 52;
/// Lengths of text events that come several in one packet.
const JOINED: [usize; 4] = [52, 37, 36, 32];

/// A real-time event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Realtime {
    /// Punches, almost always one.
    Punches(Vec<Punch>),
    /// Anything else, as it came.
    Other {
        /// What sort of event the terminal calls it.
        flag: u16,
        /// The event's data.
        raw: Bytes,
    },
}

/// Reads an event; `flag` is the session field of its packet.
pub fn read(flag: u16, data: &Bytes) -> Realtime {
    let other = || Realtime::Other {
        flag,
        raw: Bytes::copy_from_slice(data),
    };
    if flag != ATTENDANCE {
        return other();
    }
    if data.len() <= LONGEST {
        return one(data).map_or_else(other, |punch| Realtime::Punches(vec![punch]));
    }
    joined(data).map_or_else(other, Realtime::Punches)
}

/// Several events in one packet: the one length that divides it and reads well throughout.
fn joined(data: &Bytes) -> Option<Vec<Punch>> {
    let sound = |punch: &Punch| punch.who.is_ok() && punch.time.is_ok();
    let mut ways = JOINED.into_iter().filter_map(|size| {
        let whole = data.len().is_multiple_of(size);
        let parts = (0..data.len() / size).map(|at| one(&data.slice(at * size..(at + 1) * size)));
        let punches: Option<Vec<Punch>> = parts.collect();
        punches.filter(|all| whole && all.iter().all(sound))
    });
    let way = ways.next()?;
    ways.next().is_none().then_some(way)
}

fn one(data: &Bytes) -> Option<Punch> {
    let (_, (who, verify, state, parts)) = match data.len() {
        10 | 14 => uid_event(data),
        12 => number_event(data),
        TEXT_EVENT..=LONGEST => text_event(data),
        _ => return None,
    }
    .ok()?;
    Some(Punch {
        who,
        time: time::from_parts(parts),
        state,
        verify,
        work_code: 0,
        // A copy: the packet may be a small part of a large read that it would keep alive.
        raw: Bytes::copy_from_slice(data),
        source: Text::from(format!("realtime-{}", data.len())),
    })
}

type Parts = (Result<Who, BadId>, u8, u8, [u8; 6]);

fn uid_event(input: &[u8]) -> IResult<&[u8], Parts> {
    let (rest, (uid, verify, state, parts)) = (le_u16, byte, byte, time6).parse(input)?;
    let who = (uid != 0).then_some(Who::Uid(uid)).ok_or(BadId::Empty);
    // The high half of the state byte says whether the verification was valid.
    Ok((rest, (who, verify, state & 0x0f, parts)))
}

fn number_event(input: &[u8]) -> IResult<&[u8], Parts> {
    let (rest, (number, verify, state, parts)) = (le_u32, byte, byte, time6).parse(input)?;
    let who = (number != 0).then_some(Who::Number(number));
    Ok((rest, (who.ok_or(BadId::Empty), verify, state, parts)))
}

fn text_event(input: &[u8]) -> IResult<&[u8], Parts> {
    let (rest, (id, verify, state, parts)) = (take(ID_FIELD), byte, byte, time6).parse(input)?;
    Ok((rest, (id_text(id).map(Who::Pin), verify, state, parts)))
}

fn time6(input: &[u8]) -> IResult<&[u8], [u8; 6]> {
    let (rest, field) = take(6usize)(input)?;
    let mut parts = [0; 6];
    parts.copy_from_slice(field);
    Ok((rest, parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: [u8; 6] = [26, 11, 21, 10, 15, 30];

    fn text(pin: &str, length: usize) -> Vec<u8> {
        let mut data = vec![0xa5; length];
        data[..24].fill(0);
        data[..pin.len()].copy_from_slice(pin.as_bytes());
        (data[24], data[25]) = (15, 1);
        data[26..32].copy_from_slice(&AT);
        data
    }

    fn punches(data: &[u8]) -> Vec<Punch> {
        match read(ATTENDANCE, &Bytes::copy_from_slice(data)) {
            Realtime::Punches(all) => all,
            Realtime::Other { .. } => Vec::new(),
        }
    }

    fn fields(data: &[u8]) -> (Who, String, u8, u8) {
        let [punch] = &punches(data)[..] else {
            panic!("one punch expected")
        };
        let time = punch.time.unwrap().to_string();
        (punch.who.clone().unwrap(), time, punch.verify, punch.state)
    }

    #[test]
    fn every_known_length_is_read() {
        let at = || "2026-11-21 10:15:30".to_owned();
        let uid = [&[7, 0, 1, 0x12][..], &AT].concat();
        assert_eq!(fields(&uid), (Who::Uid(7), at(), 1, 2));
        let long = [&uid[..], &[0xa5; 4]].concat();
        assert_eq!(fields(&long), (Who::Uid(7), at(), 1, 2));
        let number = [&[0x39, 0x30, 0, 0, 4, 5][..], &AT].concat();
        assert_eq!(fields(&number), (Who::Number(12_345), at(), 4, 5));
        for length in [32, 36, 37, 52, 40] {
            let pin = Who::Pin(Text::new("007"));
            assert_eq!(fields(&text("007", length)), (pin, at(), 15, 1));
        }
    }

    #[test]
    fn a_pin_of_24_characters_needs_no_nul() {
        let pin = "ABCDEFGHIJKLMNOPQRSTUVWX";
        assert_eq!(fields(&text(pin, 32)).0, Who::Pin(Text::new(pin)));
    }

    #[test]
    fn several_events_in_one_packet_are_told_apart() {
        for size in JOINED {
            let data = [text("1", size), text("2", size), text("3", size)].concat();
            let who: Vec<_> = punches(&data).into_iter().map(|p| p.who.unwrap()).collect();
            assert_eq!(
                who,
                ["1", "2", "3"].map(|pin| Who::Pin(Text::new(pin))),
                "{size}"
            );
        }
    }

    #[test]
    fn an_unknown_length_or_flag_is_kept_as_it_came() {
        for (flag, length) in [
            (1, 0),
            (1, 11),
            (1, 31),
            (1, 53),
            (1, 200),
            (512, 32),
            (2, 0),
        ] {
            let raw = Bytes::from(vec![1; length]);
            assert_eq!(read(flag, &raw), Realtime::Other { flag, raw });
        }
    }

    #[test]
    fn an_impossible_time_stays_with_its_record() {
        let mut data = text("1", 32);
        data[27] = 13;
        assert!(punches(&data)[0].time.is_err());
    }

    proptest! {
        #[test]
        fn any_event_is_read_or_kept(flag in 0u16..4, data in prop::collection::vec(any::<u8>(), 0..250)) {
            let data = Bytes::from(data);
            match read(flag, &data) {
                Realtime::Punches(all) => {
                    let raw: Vec<u8> = all.iter().flat_map(|p| p.raw.to_vec()).collect();
                    prop_assert_eq!(raw, data);
                }
                Realtime::Other { raw, .. } => prop_assert_eq!(raw, data),
            }
        }
    }
}
