//! What sentinel itself says of what it saw: one sentence each, in Spanish and in English.
//!
//! A look never writes prose; it names one of these and what belongs into its places. So every
//! sentence has both languages when it is written, and a mail in Spanish holds no English but
//! the words of servers and programs. `{}` is filled in order, in both languages the same way.

use notify::Language;
use serde::{Deserialize, Serialize};

use super::pick;

macro_rules! phrases {
    ($($name:ident: $es:literal, $en:literal;)+) => {
        /// A sentence of ours. The names stand in sentinel's file: add, never rename.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[expect(missing_docs, reason = "each is its own sentence, below")]
        pub enum Phrase {
            $($name,)+
        }

        impl Phrase {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// With its places still open.
            pub fn text(self, language: Language) -> &'static str {
                match self {
                    $(Self::$name => pick(language, $es, $en),)+
                }
            }
        }
    };
}

phrases! {
    // Any look.
    LookLate: "la revisión no terminó a tiempo", "the check did not end in time";
    LookBroke: "la revisión se interrumpió por una falla propia", "the check broke off by a fault of its own";
    ByWay: "{}: {}", "{}: {}";

    // Asking over the network.
    NameNotFound: "no se encontró el nombre: {}", "the name was not found: {}";
    NotConnected: "sin conexión: {}", "no connection: {}";
    TlsFailed: "falló el cifrado (TLS): {}", "encryption (TLS) failed: {}";
    NoHttp: "la respuesta no es HTTP: {}", "the answer is not HTTP: {}";
    LateName: "la búsqueda del nombre tardó más de {}", "looking up the name took more than {}";
    LateConnect: "sin conexión en {}", "no connection within {}";
    LateTls: "el cifrado (TLS) tardó más de {}", "encryption (TLS) took more than {}";
    LateAnswer: "sin respuesta en {}", "no answer within {}";
    HttpStatus: "contesta HTTP {}", "it answers HTTP {}";
    HttpSays: "contesta HTTP {}: {}", "it answers HTTP {}: {}";
    NotReadable: "la respuesta no se pudo leer: {}", "the answer could not be read: {}";

    // satellite.
    OutputUnread: "el Programa Satélite todavía no la lee", "satellite does not read it yet";
    OutputPaused: "alguien la puso en pausa", "somebody paused it";
    SenderNotEnrolled: "el emisor {} no está dado de alta para este cliente, o está bloqueado", "the sender {} is not enrolled for this tenant, or blocked";
    SatelliteSilent: "el Programa Satélite no informa de ella", "satellite does not say";
    ListUnknown: "la lista de dispositivos: {}", "the list of terminals: {}";
    ListLoading: "el Programa Satélite todavía no conoce sus dispositivos", "satellite does not know its terminals yet";
    NoSystemctl: "systemctl no se pudo ejecutar: {}", "systemctl could not be run: {}";
    SystemctlSays: "systemctl contesta: {}", "systemctl says: {}";
    SystemctlLate: "systemctl no contesta", "systemctl gives no answer";
    UnitUnread: "systemctl no dice nada de la unidad", "systemctl said nothing of the unit";
    UnitNotLoaded: "la unidad está en estado de carga «{}»", "the unit's load state is '{}'";
    UnitOdd: "la unidad está en estado «{}»", "the unit's state is '{}'";
    JournalReady: "acepta registros", "takes records";
    JournalFull: "lleno: ya no acepta registros", "full: takes no more records";
    JournalDiskLow: "queda poco disco: ya no acepta registros", "the disk has little room left: takes no more records";
    JournalFailed: "no pudo escribir: no acepta registros", "it could not write: takes no records";

    // The canary.
    PunchMissing: "{}: confirmada hace {} y sin registro", "{}: acknowledged {} ago, and no row";
    PunchAwaited: "confirmada; se espera su registro", "acknowledged, its row is awaited";
    PunchNotSent: "no se envió ninguna checada de prueba", "no canary punch was sent";
    PunchSetAside: "fue recibida y apartada en revisión: no se pudo interpretar", "it was taken and set aside in quarantine: it could not be read";
    PunchNotArrived: "el broker la recibió hace {} y no hay registro: el Programa Satélite no la recibe, o la apartó en revisión", "the broker took it {} ago, and no row: satellite does not get it, or has set it aside in quarantine";
    BrokerRefuses: "el broker no acepta la conexión: {}", "the broker refuses the connection: {}";
    BrokerBroke: "el broker cortó la conexión: {}", "the broker broke the connection: {}";
    BrokerLate: "el broker no contesta en {}", "no answer of the broker within {}";
    NeverReached: "nunca se pudo llegar a la base de datos", "the database was never reached";

    // Terminals.
    NotHeardYet: "sin noticia desde que inició el Programa Satélite", "not heard since satellite's start";
    StateUnknown: "el Programa Satélite da un estado que Sentinela no conoce", "satellite calls its state by a word that sentinel does not know";
    IsOffline: "está sin conexión", "it is offline";
    Unreachable: "no se puede conectar con él (unreachable)", "it cannot be connected to (unreachable)";
    LoginRefused: "rechaza el usuario o la contraseña (login_refused)", "it refuses user or password (login_refused)";
    SecretMissing: "falta el archivo de su contraseña (secret_missing)", "the file of its password is missing (secret_missing)";
    NoSession: "no acepta la sesión (no_session)", "it opens no session (no_session)";
    CommKeyRefused: "rechaza la clave de comunicación (comm_key_refused)", "it refuses the communication key (comm_key_refused)";
    WrongDevice: "contesta otro equipo en su dirección (wrong_device)", "another device answers at its address (wrong_device)";
    RingOverrun: "su memoria dio la vuelta antes de leerse (ring_overrun)", "its log went round before it was read (ring_overrun)";
    SerialsRestarted: "su numeración empezó de nuevo (serials_restarted)", "its numbering began anew (serials_restarted)";
    GapInPosts: "faltan números entre lo que envió (gap_in_posts)", "numbers are missing in what it posted (gap_in_posts)";
    LogCleared: "se vació su memoria (log_cleared)", "its log was cleared (log_cleared)";
    RecordsMissing: "falta guardar un tramo de lo que registró (records_missing)", "a window of what it recorded is not stored (records_missing)";
    CountsDisagree: "su cuenta y la nuestra no coinciden (counts_disagree)", "its count and ours disagree (counts_disagree)";
    LogNearlyFull: "su memoria está casi llena (log_nearly_full)", "its log is nearly full (log_nearly_full)";
    ClockIsWrong: "su reloj está mal (clock_skew)", "its clock is wrong (clock_skew)";
    NewNetwork: "habla desde una red nueva para él (new_network)", "it speaks from a network that is new for it (new_network)";
    BruteForce: "prueban muchos tokens distintos (brute_force)", "many different tokens are tried (brute_force)";
    SerialFlood: "prueban muchas series distintas (serial_flood)", "many different serials are tried (serial_flood)";
    TwoPlaces: "la misma serie envía desde dos lugares (duplicate_serial)", "the same serial sends from two places (duplicate_serial)";
    FeedBeingRead: "todavía se leen los eventos anteriores", "earlier events are still being read";
    FeedIsOlder: "los eventos están antes de lo ya leído; ¿un respaldo?", "the events stand before what was read; an older copy?";
    HistoryFailed: "el historial de Sentinela (history.db): {}", "sentinel's history (history.db): {}";
    HistoryMoved: "otro Sentinela lee los mismos eventos en el mismo historial", "another sentinel reads the feed into the same history";
    FileFailed: "el archivo de Sentinela (sentinel.db): {}", "sentinel's own file (sentinel.db): {}";
    NothingDecided: "las decisiones no se escriben desde hace dos minutos", "the decisions have written nothing for two minutes";

    // Databases and backups.
    FileNotOpened: "el archivo no se pudo abrir a tiempo", "the file could not be opened in time";
    TakesAndSilent: "acepta conexiones y no contesta en {}", "it takes connections and says nothing for {}";
    ShouldBe: "{} = {} (debe ser {})", "{} = {} (should be {})";
    TwoOf: "{}; {}", "{}; {}";
    NothingShipped: "nada se ha enviado desde entonces; ver que el servicio satellite-ship esté en marcha", "nothing was shipped since; see that the service satellite-ship runs";
    NeverVerified: "nunca se ha comprobado ninguno", "none was ever verified";
    DrillFailed: "el último simulacro no se aprobó", "the last drill failed";
    OneDisk: "{} de 2 discos", "{} of 2 disks";
    NoGoodBackup: "nunca hubo un respaldo bueno", "there never was a good one";

    // The mail path.
    LetterNotTaken: "ningún servidor de correo tomó el correo de prueba: {}", "no mail relay took the test letter: {}";
    BoxNotRead: "no se pudo leer la bandeja de prueba: {}", "the mailbox of test letters could not be read: {}";

    // Machines.
    LoadAndCpus: "carga {} con {} procesadores", "load {} with {} processors";
    InterfaceDown: "{}: sin conexión", "{}: down";
    InterfaceBad: "{}: {} de paquetes con error", "{}: {} of packets are bad";
    MachineNotHeard: "todavía no se recibe nada", "nothing was heard yet";

    // Certificates.
    CertificateUnread: "el certificado no se puede leer", "the certificate cannot be read";
    CertificateEnded: "ya venció", "it has ended";
    CertificateEndsIn: "su certificado vence en {} días", "its certificate ends in {} days";

    // The client's application.
    HttpInstead: "contesta HTTP {} en lugar de {}", "it answers HTTP {} instead of {}";
    PageSays: "la página dice «{}»", "the page says '{}'";
    PageLacks: "la página no dice «{}»", "the page does not say '{}'";
    NoLoginForm: "no hay formulario con contraseña", "there is no form with a password field";
    TookTooLong: "tardó {}, más de {}", "it took {}, more than {}";
    QueryEmpty: "la consulta no contesta nada", "the query answers nothing";
    QueryNoNumber: "la consulta contesta «{}», que no es un número", "the query answers '{}', which is no number";
    TooLittle: "{} es menos de {}", "{} is less than {}";
    TooMuch: "{} es más de {}", "{} is more than {}";
    ProcUnread: "no se puede leer /proc", "/proc cannot be read";
    TooFewProcesses: "{} procesos «{}», se necesitan {}", "{} processes '{}', {} are needed";
    ChangedAgo: "cambió hace {}, más de {}", "last changed {} ago, more than {}";
    NoProgram: "no se indica ningún programa", "no program is named";
    ProgramFailed: "{} no se pudo ejecutar: {}", "{} could not be run: {}";
    ProgramLate: "no terminó en {}", "no end within {}";
    ProgramSilent: "no dice nada", "it says nothing";
    ProgramStatus: "terminó con estado {}: {}", "it ended with status {}: {}";
    ProgramKilled: "lo detuvo una señal", "it was killed by a signal";

    // Sentinel's own test.
    LoopStands: "sus decisiones están detenidas", "its decisions stand still";
    FileUnwritten: "no puede escribir en su archivo", "its file cannot be written";
    NoRelayTakes: "ningún servidor de correo acepta avisos", "no mail relay takes mail";
    LetterWaits: "un aviso espera demasiado", "a letter waits too long";
    ClockNotSane: "su reloj no es de fiar", "its clock is not sane";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_has_both_languages_with_the_same_places() {
        for phrase in Phrase::ALL {
            let es = phrase.text(Language::Spanish);
            let en = phrase.text(Language::English);
            assert!(!es.is_empty() && !en.is_empty(), "{phrase:?}");
            let places = |text: &str| text.matches("{}").count();
            assert_eq!(places(es), places(en), "{phrase:?}");
            let bare = |text: &str| text.replace("{}", "").chars().all(|c| !c.is_alphabetic());
            assert!(
                es != en || bare(es),
                "{phrase:?} is the same in both languages"
            );
        }
    }

    /// The sources below that folder, without tests.
    fn sources(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(text.split("#[cfg(test)]").next().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn no_look_says_in_its_own_words_what_it_saw() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        for folder in ["looks", "history", "run", "decide"] {
            sources(&root.join(folder), &mut found);
        }
        assert!(found.len() > 30, "{} files", found.len());
        for text in &found {
            for prose in text.split("Value::heard(\"").skip(1) {
                let prose = prose.split('"').next().unwrap();
                assert!(prose.is_empty(), "{prose:?} is in one language only");
            }
        }
    }

    #[test]
    fn no_sentence_uses_a_word_that_the_glossary_bans() {
        for phrase in Phrase::ALL {
            let text = phrase.text(Language::Spanish).to_lowercase();
            for banned in [
                "incidencia",
                "inquilino",
                "terminal",
                "fichaje",
                "atasco",
                "centinela",
            ] {
                assert!(!text.contains(banned), "{phrase:?}: {banned} in {text}");
            }
        }
    }
}
