//! What satellite says about a device beside a condition or a step: every sentence, in English
//! and in Spanish.
//!
//! A sentence has a name in [`Says`] and values; nothing else can be raised or traced, so that
//! none is without its Spanish. It is carried and stored in English, as the logs have it, and
//! read back into the same sentence and values where a person reads Spanish ([`spanish`]): so the
//! rows of earlier versions are read as well, and a sentence of a newer one stays English. What
//! the protocol crates, the system and the store say about a record or a connection stands in
//! [`others`], and why events do not reach a receiver in [`carried`], held against those crates by
//! tests. No decision may hang on a sentence.

mod carried;
pub(crate) mod others;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display};

use event::Text;

use crate::dial::socket::NotOpen;
use crate::hikvision::client::Trouble;

/// A sentence with its values, in English.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detail(Text);

impl Detail {
    /// The sentence.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// A sentence that another satellite made: it is one of these, or stays as it is.
    pub(crate) fn carried(sentence: &str) -> Self {
        Self(sentence.into())
    }

    /// What has both languages where it arises: an unreadable secret, a bad user name.
    fn of(said: &impl Display) -> Self {
        Self(said.to_string().into())
    }
}

impl Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A sentence without values.
impl From<Says> for Detail {
    fn from(says: Says) -> Self {
        says.with(&[])
    }
}

// These say what is in `others`, and tests make each of their values.
macro_rules! said_elsewhere {
    ($($error:ty),+ $(,)?) => {
        $(impl From<&$error> for Detail {
            fn from(error: &$error) -> Self {
                Self::of(error)
            }
        })+
    };
}

said_elsewhere!(
    daemon::config::ConfigError,
    hikvision_isapi::BadUser,
    hikvision_isapi::SearchError,
    zkteco_pull::Error,
    zkteco_pull::Unread,
    NotOpen,
    Trouble,
);

impl Says {
    /// The sentence with its places filled in order.
    pub(crate) fn with(self, values: &[&dyn Display]) -> Detail {
        let (_, english) = self.texts();
        let values = values.iter().map(ToString::to_string);
        Detail(filled(english, values).into())
    }
}

/// The Spanish of a sentence that was carried or stored in English; `None` for one that is not
/// known, of a newer version or of somebody else.
pub fn spanish(english: &str) -> Option<String> {
    let known = OURS.iter().chain(others::OTHERS).chain(carried::CARRIED);
    let read = known.filter_map(|(es, en)| Some((es, en, values_in(en, english)?)));
    // The sentence with most words of its own: one that begins or ends with a value fits more.
    let (es, _, values) = read.max_by_key(|(_, en, _)| own_words(en))?;
    // A value may be a sentence: why the connection broke.
    let values = values.into_iter();
    let values = values.map(|value| spanish(value).unwrap_or_else(|| value.to_owned()));
    Some(filled(es, values))
}

/// The text with its places filled in order.
fn filled(text: &str, mut values: impl Iterator<Item = String>) -> String {
    let mut parts = text.split("{}");
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        all.push_str(&values.next().unwrap_or_default());
        all.push_str(part);
    }
    all
}

/// The values in a sentence that was made from that text. It is read from its end, so that a
/// first value may be a sentence with separators of its own.
fn values_in<'s>(text: &str, sentence: &'s str) -> Option<Vec<&'s str>> {
    let (first, parts) = text.split_once("{}").unwrap_or((text, ""));
    let mut rest = sentence.strip_prefix(first)?;
    if first.len() == text.len() {
        return rest.is_empty().then(Vec::new);
    }
    let mut parts = parts.rsplit("{}");
    rest = rest.strip_suffix(parts.next()?)?;
    let mut values = Vec::new();
    for part in parts {
        let (before, value) = rest.rsplit_once(part)?;
        values.push(value);
        rest = before;
    }
    values.push(rest);
    values.reverse();
    Some(values)
}

/// How many bytes of a text are no place.
fn own_words(text: &str) -> usize {
    text.split("{}").map(str::len).sum()
}

macro_rules! sentences {
    ($($name:ident: $es:literal, $en:literal;)+) => {
        /// A sentence. `{}` in its texts are its values, in order and in both languages.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Says {
            $(#[doc = $en] $name,)+
        }

        /// Spanish and English of each.
        const OURS: &[(&str, &str)] = &[$(($es, $en)),+];

        impl Says {
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name),+];

            fn texts(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => ($es, $en),)+
                }
            }
        }
    };
}

sentences! {
    // Who it is.
    Arrived: "llegó una petición", "a request came in";
    Answers: "contesta en su dirección", "it answers at its address";
    NamedSerial: "dijo su número de serie", "it named its serial";
    IsEnrolledOne: "es el dispositivo dado de alta", "it is the enrolled device";
    Enrolled: "está dado de alta", "is enrolled";
    WaitsForApproval: "falta aprobarlo", "waits for approval";
    Blocked: "está bloqueado", "is blocked";
    NoTenant: "su cliente no está en la configuración", "its tenant is not in the configuration";
    TakesSession: "acepta nuestra sesión", "it takes our session";
    TakesLogin: "acepta nuestro usuario", "it accepts our login";
    LoginRefused: "rechaza el usuario o la contraseña; se vuelve a intentar el {} UTC", "user or password refused; the next try is at {} UTC";
    NotAKey: "{}: la clave de comunicación es un número", "{}: a communication key is a number";
    BrokerBrought: "llegó un mensaje por su broker", "a message came by its broker";
    NamedByInput: "lo dice su entrada", "its input says who it is";
    NamedByToken: "lo dice su token", "its token says who it is";
    OtherAnswers: "en su dirección contesta otro dispositivo", "another device answers at its address";
    OtherThere: "el dispositivo de ahí dice ser {}", "the device there names itself {}";
    OtherPosts: "el envío es de otro dispositivo", "the post names another device";
    OtherNamed: "el envío dice ser del dispositivo {}", "the post names the device {}";
    NoSerial: "ninguno, sin serie", "no serial";
    NotHikvision: "lo que contesta ahí no es un dispositivo Hikvision", "what answers there is not a Hikvision device";
    HostsInUse: "todas sus escuchas HTTP están ocupadas", "all its listening hosts are in use";
    LockdownHolds: "hay un bloqueo de seguridad en vigor", "a lockdown is in force";
    JobUnread: "la tarea no se puede leer", "the job cannot be read";
    NoAnswerInTime: "no contestó a tiempo", "no answer in time";
    RegistryTookNot: "el dispositivo ya tiene su nueva dirección, y el registro no la aceptó: {}", "the device has its new address, and the registry did not take it: {}";
    TwoPlaces: "desde {} y desde {}", "from {} and {}";
    BrokerAway: "su broker {} no se alcanza o no nos deja entrar: {}", "its broker {} is not reached or does not let us in: {}";
    NewNetwork: "desde {}; hasta ahora, desde {}", "from {}; until now from {}";
    FromElsewhere: "su cliente no espera dispositivos en {}", "its tenant expects no terminals at {}";

    // What it sends.
    LengthAndChunks: "anuncia a la vez una longitud y un envío por partes", "a length and chunks are announced";
    NoLength: "no anuncia la longitud", "no length is announced";
    MoreThanLength: "llegó más de lo anunciado", "more came than the announced length";
    UploadTooLarge: "{}: un envío es mayor que limits.body y se rechaza hasta que se aumente", "{}: an upload is larger than limits.body and is refused until that is raised";
    UploadTooBusy: "{}: en este momento hay demasiado en memoria", "{}: too much is in memory at the moment";
    UploadCut: "{}: un envío terminó antes de la longitud anunciada", "{}: an upload ended before its announced length";
    WasRead: "{}: {} interpretados, {} no se pudieron interpretar", "{}: {} read, {} unreadable";
    NotKept: "{}: {} registros, confirmados y no se conservan", "{}: {} records, acknowledged and not kept";
    PostRead: "el envío se interpretó", "the post was read";
    PostMethod: "no es un envío: ni POST ni PUT", "neither POST nor PUT";
    PostBroken: "el envío llegó incompleto", "the post ended early or was no proper body";
    PostOverLimit: "el envío es mayor que limits.body", "the post is larger than limits.body";
    NothingRead: "de un envío de {} registros no se pudo interpretar ninguno", "of a post of {} records none could be read";
    PostsUnread: "{} documentos de un envío de {} bytes eran demasiado largos", "{} documents of a post of {} bytes were too long";
    PostDropped: "{} documentos de un envío de {} bytes eran demasiado largos; {} bytes de ellos no se conservan", "{} documents of a post of {} bytes were too long; {} bytes of them are kept nowhere";
    PostWasLarge: "un envío de {} bytes; sus eventos se guardaron", "a post of {} bytes; its events were stored";
    RegistersAgain: "se registra una y otra vez y no toma su código de registro; reinícielo, y revise que ningún proxy cambie las respuestas", "it registers again and again and does not take its registry code; restart it, and check that no proxy changes replies";
    AsksForDoor: "pregunta si abre la puerta; apague la verificación remota en el dispositivo", "it asks us whether to open the door; switch remote verification off on the terminal";
    WantsEncryption: "quiere cifrar su sesión; apague el cifrado en el dispositivo", "it wants to encrypt its session; switch encryption off on the terminal";

    // What we read of it.
    LogRead: "se leyeron sus registros", "its log was read";
    LogUnread: "sus registros no se pueden leer", "its log cannot be read";
    SearchesRead: "sus respuestas a las búsquedas se interpretan", "its answers to searches are read";
    SearchUnread: "su respuesta a una búsqueda no se puede interpretar", "its answer to a search cannot be read";
    Refuses: "{}: contestó {} {}", "{}: it answered {} {}";
    PagesLie: "sus páginas prometen más de lo que traen", "its pages promise more than they give";
    SearchByTime: "su búsqueda no conoce números; se busca por hora", "its search knows no serials; it is searched by time";
    SearchStrays: "no respeta los números que se le piden; se busca por hora", "it does not keep to the serials it is asked for; it is searched by time";
    NoSearch: "no tiene búsqueda de eventos; solo se leen sus eventos en vivo", "it has no event search; only its stream is read";
    SlotTaken: "dice que ya no acepta a nadie más ({})", "it says that it takes nobody more ({})";
    NoHost: "ningún servidor de escucha del dispositivo tiene nuestra ruta", "no listening host of the device has our path";
    WireBroke: "se cortó la conexión: {}", "the connection broke: {}";
    LoginAgain: "pide el usuario una y otra vez", "it asks for a login again and again";
    ConnectionGone: "la conexión ya no está", "the connection is gone";

    // What was stored, and what is missing.
    Stored: "{} registros: {} nuevos, {} ya estaban, {} en revisión, {} anteriores al alta, {} no se conservan", "{} records: {} new, {} known before, {} in quarantine, {} older than the enrolment, {} not kept";
    PostStored: "{} nuevos, {} ya estaban, {} en revisión", "{} new, {} known before, {} in quarantine";
    PostWaits: "{} registros esperan a la base de datos en la bitácora local", "{} records wait in the journal for the database";
    NewStored: "{} nuevos", "{} new";
    BeingStored: "lo que tiene se está guardando", "what it holds is being stored";
    StoreAway: "la base de datos no recibe nada ahora", "the store takes nothing now";
    TooBusy: "hay demasiado por guardar en este momento", "too much waits to be stored at the moment";
    OurFault: "falló el Programa Satélite; vea su bitácora", "satellite failed; see its log";
    NotPosted: "faltan {} números en lo que ha enviado", "{} serials were not posted";
    SerialsGone: "{} números del {} al {} ya no están en el dispositivo", "{} serials of {} to {} are no longer on the device";
    RecordsGone: "{} registros ya no están en el dispositivo", "{} records are no longer on the terminal";
    OtherRecord: "hay otro registro con un número conocido; su último número es {}", "another record stands under a known serial; its newest is {}";
    NewestFell: "su último número es ahora {}; comenzó una época nueva", "its newest serial is {} now; a new epoch was begun";
    SerialFell: "el número {} llegó con una hora posterior a la de números mayores", "serial {} came with a later time than higher ones";
    IndexFell: "su índice comenzó de nuevo: se borraron sus registros, o se restableció", "its index began again: its log was cleared, or it was reset";
    LogCleared: "se conocían {} de sus registros; ahora tiene {}, y los últimos conocidos no están entre ellos", "{} records of its log were known; it holds {} now, and the last known ones are not among them";
    CountsDiffer: "dice tener {} registros y entrega {}", "it counts {} records and hands out {}";
    WindowCounted: "del {} al {} UTC: dice tener {} registros y hay {} guardados; otros tramos que faltan: {}", "{} to {} UTC: it counts {} records, {} are stored; other windows missing: {}";
    WindowAsked: "del {} al {} UTC: se le vuelve a pedir; otros tramos que faltan: {}", "{} to {} UTC: it is asked for again; other windows missing: {}";
    CopyRestored: "se restauró un respaldo anterior de la base de datos", "an older copy of the database was restored";
    CameNotWhole: "se volvió a pedir y no llegó completo", "asked for again, and did not come whole";
    WaitForPerson: "{} registros esperan a una persona de su lista de usuarios", "{} records wait for a person of its user list";
    Footprints: "{} % de sus números nuevos son entradas nuestras; se busca cada {} s", "{} % of its new serials are our own logins; searched every {} s";
    Fill: "{} de {} registros", "{} of {} records";

    // Its clock.
    ClockAhead: "{} s adelantado", "{} s ahead of ours";
    ClockBehind: "{} s atrasado", "{} s behind ours";
    CameBefore: "un registro llegó {} s antes de su propia hora", "a record came {} s before its own time";
    CameLate: "todos los registros en vivo de las últimas horas tenían {} s o más: está atrasado, o envía tarde", "every live record of the last hours was {} s old or older: it is behind, or sends late";
}
