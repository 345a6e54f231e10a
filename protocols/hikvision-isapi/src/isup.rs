//! The hello of a device that was set to ISUP (EHome) instead of HTTP listening.
//!
//! ISUP 5 is not publicly specified and is not spoken here. Its first bytes are recognised,
//! and those of EHome 2.x, so that an installer reads in one log line which device knocked
//! and what to change, instead of wondering about silence. What is read is what such hellos
//! have been seen to hold; it authenticates nobody and must never become an event.

use event::Text;
use memchr::memmem;

/// Longest beginning of a connection that is looked at, in bytes.
pub const HELLO_LIMIT: usize = 2048;
/// Longest name taken from a hello, in bytes.
const NAME_LIMIT: usize = 64;

/// Who knocked, as far as the hello says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IsupHello {
    /// The device ID that was typed into the device's ISUP page.
    pub device_id: Option<Text>,
    /// The serial number.
    pub serial: Option<Text>,
    /// The model, or the firmware where an old device names only that.
    pub model: Option<Text>,
    /// EHome 2.x (one XML document) rather than ISUP 4 or 5.
    pub is_ehome2: bool,
}

impl IsupHello {
    /// Looks at the first bytes of a connection or a datagram; `None` when they are not such
    /// a hello, or not yet whole.
    pub fn recognise(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HELLO_LIMIT).unwrap_or(bytes);
        match bytes.first()? {
            0x10 => binary(bytes),
            _ => ehome2(bytes),
        }
    }
}

/// `10 len` and a login: `01 01 00`, then serial, model, two bytes and the device ID, each
/// text with its length before it. Seen on one DS-K1T343EWX.
fn binary(bytes: &[u8]) -> Option<IsupHello> {
    let (&len, body) = bytes.get(1..)?.split_first()?;
    let body = body.get(..usize::from(len))?;
    let rest = body.strip_prefix(&[0x01, 0x01, 0x00])?;
    let (serial, rest) = counted(rest)?;
    let (model, rest) = counted(rest)?;
    let (device_id, _) = counted(rest.get(2..)?)?;
    Some(IsupHello {
        device_id: Some(device_id),
        serial: Some(serial),
        model: Some(model),
        is_ehome2: false,
    })
}

fn counted(bytes: &[u8]) -> Option<(Text, &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    let text = rest.get(..usize::from(len))?;
    Some((name(text)?, rest.get(usize::from(len)..)?))
}

/// A `REGISTER` of EHome 2.x. Its declared character set does not matter: the names are ASCII.
fn ehome2(bytes: &[u8]) -> Option<IsupHello> {
    memmem::find(bytes, b"<PPVSPMessage")?;
    if tag(bytes, "Command")? != b"REGISTER" {
        return None;
    }
    let text = |of: &str| tag(bytes, of).and_then(name);
    Some(IsupHello {
        device_id: text("DeviceID"),
        serial: text("SerialNumber"),
        model: text("FirmwareVersion"),
        is_ehome2: true,
    })
}

fn tag<'a>(bytes: &'a [u8], of: &str) -> Option<&'a [u8]> {
    let open = format!("<{of}>");
    let from = memmem::find(bytes, open.as_bytes())? + open.len();
    let rest = bytes.get(from..)?;
    let end = memmem::find(rest, format!("</{of}>").as_bytes())?;
    Some(rest.get(..end)?.trim_ascii())
}

/// 1 to 64 printable ASCII characters.
fn name(bytes: &[u8]) -> Option<Text> {
    let fits = (1..=NAME_LIMIT).contains(&bytes.len());
    let printable = bytes.iter().all(|b| (b' '..=b'~').contains(b));
    let text = std::str::from_utf8(bytes).ok()?;
    (fits && printable).then(|| Text::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn login() -> Vec<u8> {
        let mut body = vec![1, 1, 0];
        for text in ["AB1234567", "DS-K1T343EWX"] {
            body.push(u8::try_from(text.len()).unwrap());
            body.extend_from_slice(text.as_bytes());
        }
        body.extend_from_slice(&[0x29, 0x25, 5]);
        body.extend_from_slice(b"gate7");
        body.extend_from_slice(&[0xff; 40]);
        let mut hello = vec![0x10, u8::try_from(body.len()).unwrap()];
        hello.extend(body);
        hello
    }

    #[test]
    fn a_hello_of_isup_names_the_device_and_is_none_while_cut() {
        let whole = login();
        let hello = IsupHello::recognise(&whole).unwrap();
        assert_eq!(hello.device_id.as_deref(), Some("gate7"));
        assert_eq!(hello.serial.as_deref(), Some("AB1234567"));
        assert_eq!(hello.model.as_deref(), Some("DS-K1T343EWX"));
        assert!(!hello.is_ehome2);
        for cut in 0..whole.len() {
            assert_eq!(IsupHello::recognise(&whole[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn an_ehome_register_is_told_from_its_keep_alive() {
        let register = b"<?xml version=\"1.0\" encoding=\"GB2312\"?>\r\n<PPVSPMessage><Version>2.0</Version>\
            <Command> REGISTER </Command><Params><DeviceID>123456</DeviceID><FirmwareVersion>V5.4.5</FirmwareVersion>\
            <Name>\xb0\xa1</Name></Params></PPVSPMessage>";
        let hello = IsupHello::recognise(register).unwrap();
        assert_eq!(
            (hello.device_id.as_deref(), hello.is_ehome2),
            (Some("123456"), true)
        );
        assert_eq!(hello.serial, None);
        let alive = b"<PPVSPMessage><Command>KEEPALIVE</Command></PPVSPMessage>";
        assert_eq!(IsupHello::recognise(alive), None);
    }

    #[test]
    fn other_callers_are_not_taken_for_devices() {
        for bytes in [
            &b""[..],
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01\x02",
            b"\x10\x00",
            b"\x10\x04MQTT",
        ] {
            assert_eq!(
                IsupHello::recognise(bytes),
                None,
                "{}",
                bytes.escape_ascii()
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_name_is_unprintable(
            tail in prop::collection::vec(any::<u8>(), 0..300),
            at in 0usize..80,
            byte in any::<u8>(),
        ) {
            let mut changed = login();
            if let Some(b) = changed.get_mut(at) { *b = byte; }
            let mut random = vec![0x10];
            random.extend(&tail);
            for bytes in [changed, random, tail] {
                for name in IsupHello::recognise(&bytes).into_iter().flat_map(|h| [h.device_id, h.serial, h.model]).flatten() {
                    prop_assert!(name.len() <= NAME_LIMIT && name.bytes().all(|b| (b' '..=b'~').contains(&b)));
                }
            }
        }
    }
}
