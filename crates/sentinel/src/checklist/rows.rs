//! The lines of both lists, as a table: what is checked, by which looks, and what must not be
//! wrong.

use notify::Language;

use super::Configured;
use crate::kind::Kind;
use crate::observation::{Admin, Canary, Door, Signal, Unit};
use crate::words::pick;

/// How a line is judged.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    /// By one of satellite's signals: `Some(true)` is well.
    Signal(fn(Signal) -> Option<bool>),
    /// By what these looks say about these sorts of subjects: none of these kinds.
    Troubles(&'static [&'static str], &'static [Kind]),
    /// No incident of these kinds is open, where these looks see something.
    NoneOpen(&'static [&'static str], &'static [Kind]),
    /// The state of the tenant.
    State,
    /// No critical incident is open.
    Critical,
    /// Every open incident is within its promised recovery time.
    Recovery,
    /// People are named for every level of attention.
    Levels,
}

/// One line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) key: &'static str,
    pub(super) es: &'static str,
    pub(super) en: &'static str,
    /// Whether it is on the list of tests, and on that of indicators.
    pub(super) on: (bool, bool),
    pub(super) by: By,
    /// Whether it should be seen with this configuration.
    pub(super) needed: fn(Configured) -> bool,
    /// Measurements that are shown as evidence, with their unit.
    pub(super) shows: &'static [(&'static str, Measure)],
}

/// How a measurement is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Seconds,
    Count,
    Bytes,
    /// Which version it says it is; no number.
    Version,
}

const TESTS: (bool, bool) = (true, false);
const INDICATORS: (bool, bool) = (false, true);
const BOTH: (bool, bool) = (true, true);

fn always(_: Configured) -> bool {
    true
}

fn never(_: Configured) -> bool {
    false
}

fn unit(signal: Signal) -> Option<bool> {
    match signal {
        Signal::Unit(unit) => Some(unit == Unit::Active),
        _ => None,
    }
}

fn admin(signal: Signal) -> Option<bool> {
    match signal {
        Signal::Admin(admin) => Some(admin == Admin::Moving),
        _ => None,
    }
}

fn door(signal: Signal) -> Option<bool> {
    match signal {
        Signal::Door(door) => Some(door == Door::Answers),
        _ => None,
    }
}

fn canary(signal: Signal) -> Option<bool> {
    match signal {
        Signal::Canary(canary) => Some(canary == Canary::Visible),
        _ => None,
    }
}

/// Where one of these is wrong, a look could see nothing else of its subject.
pub(super) const BLINDING: &[Kind] = &[
    Kind::DatabaseDown,
    Kind::DatabaseHung,
    Kind::HostSilent,
    Kind::TerminalOffline,
];

/// Every line, in the order in which it is read.
pub(super) const ROWS: &[Row] = &[
    Row {
        key: "state",
        es: "Estado de operación del cliente",
        en: "The client's state of operation",
        on: INDICATORS,
        by: By::State,
        needed: always,
        shows: &[],
    },
    Row {
        key: "critical_incidents",
        es: "Ningún incidente crítico abierto",
        en: "No critical incident is open",
        on: BOTH,
        by: By::Critical,
        needed: always,
        shows: &[],
    },
    Row {
        key: "recovery_time",
        es: "Incidentes abiertos dentro del tiempo de recuperación (RTO) comprometido",
        en: "Open incidents are within the promised recovery time (RTO)",
        on: BOTH,
        by: By::Recovery,
        needed: always,
        shows: &[],
    },
    Row {
        key: "satellite_unit",
        es: "El Programa Satélite está en marcha",
        en: "satellite runs",
        on: BOTH,
        by: By::Signal(unit),
        needed: |configured| configured.unit,
        shows: &[],
    },
    Row {
        key: "satellite_progress",
        es: "El Programa Satélite responde y guarda lo que recibe",
        en: "satellite answers and stores what it receives",
        on: BOTH,
        by: By::Signal(admin),
        needed: |configured| configured.admin,
        shows: &[
            ("uptime_seconds", Measure::Seconds),
            ("version", Measure::Version),
        ],
    },
    Row {
        key: "door",
        es: "La entrada para dispositivos contesta",
        en: "The door for terminals answers",
        on: TESTS,
        by: By::Signal(door),
        needed: |configured| configured.door,
        shows: &[("door_seconds", Measure::Seconds)],
    },
    Row {
        key: "canary",
        es: "Una checada de prueba entra por la dirección pública y se lee en la base de datos",
        en: "A test punch enters by the public address and is read back from the database",
        on: BOTH,
        by: By::Signal(canary),
        needed: |configured| configured.canary,
        shows: &[("canary_seconds", Measure::Seconds)],
    },
    Row {
        key: "every_door",
        es: "Ninguna puerta para dispositivos ni broker rechaza la checada de prueba",
        en: "No door for terminals and no broker refuses the test punch",
        on: TESTS,
        by: By::NoneOpen(&["canary:"], &[Kind::DoorFailing, Kind::BrokerFailing]),
        needed: |configured| configured.canary,
        shows: &[],
    },
    Row {
        key: "acknowledged_found",
        es: "Ninguna checada confirmada falta en la base de datos",
        en: "No acknowledged punch is missing from the database",
        on: TESTS,
        by: By::NoneOpen(&["canary:"], &[Kind::AcknowledgedNotFound]),
        needed: |configured| configured.canary,
        shows: &[],
    },
    Row {
        key: "database",
        es: "La base de datos responde y acepta escrituras",
        en: "The database answers and takes writes",
        on: BOTH,
        by: By::Troubles(
            &["database:"],
            &[
                Kind::DatabaseDown,
                Kind::DatabaseHung,
                Kind::DatabaseReadOnly,
                Kind::DatabaseFull,
                Kind::DatabaseSlow,
                Kind::DatabaseConnections,
            ],
        ),
        needed: always,
        shows: &[
            ("took_seconds", Measure::Seconds),
            ("size_bytes", Measure::Bytes),
        ],
    },
    Row {
        key: "durability",
        es: "Lo confirmado sobrevive a un corte de energía (ajustes de la base de datos)",
        en: "What is acknowledged survives a power cut (settings of the database)",
        on: TESTS,
        by: By::Troubles(&["database:"], &[Kind::DurabilityWeak]),
        needed: always,
        shows: &[],
    },
    Row {
        key: "replication",
        es: "Réplica o clúster completos, y la base de datos es la esperada",
        en: "Replica or cluster whole, and the database is the expected one",
        on: TESTS,
        by: By::Troubles(&["database:"], &[Kind::Replication, Kind::DatabaseReplaced]),
        needed: always,
        shows: &[],
    },
    Row {
        key: "journal",
        es: "Nada espera en el diario local (en espera no es faltante)",
        en: "Nothing waits in the local journal (waiting is not missing)",
        on: BOTH,
        by: By::Troubles(&["satellite"], &[Kind::JournalGrowing]),
        needed: |configured| configured.admin,
        shows: &[("journal_events", Measure::Count)],
    },
    Row {
        key: "quarantine",
        es: "Los registros en revisión no crecen",
        en: "Records in quarantine do not grow",
        on: BOTH,
        by: By::Troubles(&["satellite"], &[Kind::QuarantineGrowing]),
        needed: |configured| configured.admin,
        shows: &[],
    },
    Row {
        key: "terminals_online",
        es: "Los dispositivos están en línea",
        en: "Terminals are online",
        on: BOTH,
        by: By::Troubles(&["terminals"], &[Kind::TerminalOffline]),
        needed: |configured| configured.admin,
        shows: &[],
    },
    Row {
        key: "terminals_silent",
        es: "Llegan las checadas acostumbradas a esta hora",
        en: "The punches usual at this hour arrive",
        on: BOTH,
        by: By::Troubles(&["silence:"], &[Kind::TerminalSilent]),
        needed: always,
        shows: &[],
    },
    Row {
        key: "gaps",
        es: "Sin huecos abiertos en los registros de los dispositivos",
        en: "No open gap in the records of terminals",
        on: TESTS,
        by: By::Troubles(&["terminals"], &[Kind::GapOpen]),
        needed: |configured| configured.admin,
        shows: &[],
    },
    Row {
        key: "terminal_clocks",
        es: "Los relojes de los dispositivos están en hora",
        en: "The clocks of terminals are right",
        on: BOTH,
        by: By::Troubles(&["terminals"], &[Kind::ClockSkew]),
        needed: |configured| configured.admin,
        shows: &[],
    },
    Row {
        key: "terminal_memory",
        es: "Hay espacio en la memoria de los dispositivos",
        en: "There is room in the memory of terminals",
        on: INDICATORS,
        by: By::Troubles(&["terminals"], &[Kind::LogFilling]),
        needed: |configured| configured.admin,
        shows: &[],
    },
    Row {
        key: "terminals_known",
        es: "Sin dispositivos desconocidos, rechazados o con número de serie repetido",
        en: "No unknown, refused or duplicate terminals",
        on: BOTH,
        by: By::Troubles(
            &["satellite", "terminals"],
            &[
                Kind::UnknownTerminals,
                Kind::RefusedTerminals,
                Kind::DuplicateSerial,
                Kind::RejectsRising,
                Kind::UnderAttack,
                Kind::Lockdown,
            ],
        ),
        needed: |configured| configured.admin,
        shows: &[],
    },
    Row {
        key: "application",
        es: "La aplicación del cliente funciona",
        en: "The client's application works",
        on: BOTH,
        by: By::Troubles(
            &["check:"],
            &[Kind::ApplicationDown, Kind::ApplicationPartial],
        ),
        needed: never,
        shows: &[],
    },
    Row {
        key: "disk",
        es: "Hay espacio en disco",
        en: "There is room on the disks",
        on: BOTH,
        by: By::Troubles(
            &["host"],
            &[
                Kind::DiskFilling,
                Kind::DiskFull,
                Kind::DiskReadOnly,
                Kind::InodesLow,
            ],
        ),
        needed: always,
        shows: &[],
    },
    Row {
        key: "host",
        es: "Procesador, memoria y red del servidor",
        en: "Processor, memory and network of the server",
        on: BOTH,
        by: By::Troubles(
            &["host"],
            &[
                Kind::HostSilent,
                Kind::HostCpu,
                Kind::HostMemory,
                Kind::HostSwap,
                Kind::HostNetwork,
            ],
        ),
        needed: always,
        shows: &[],
    },
    Row {
        key: "host_clock",
        es: "El reloj del servidor está sincronizado",
        en: "The server's clock is synchronised",
        on: TESTS,
        by: By::Troubles(&["host"], &[Kind::ClockUnsynchronised]),
        needed: always,
        shows: &[],
    },
    Row {
        key: "mail",
        es: "Los avisos por correo salen",
        en: "Alerts by mail leave",
        on: BOTH,
        by: By::Troubles(
            &["sentinel", "relays", "mail"],
            &[
                Kind::MailQueue,
                Kind::RelayFailing,
                Kind::MailDown,
                Kind::MailRoundTrip,
                Kind::LetterLost,
            ],
        ),
        needed: |configured| configured.mail,
        shows: &[],
    },
    Row {
        key: "certificate",
        es: "Los certificados son válidos y no vencen pronto",
        en: "Certificates are valid and do not end soon",
        on: BOTH,
        by: By::Troubles(
            &["certificate"],
            &[Kind::CertificateExpiring, Kind::CertificateBad],
        ),
        needed: never,
        shows: &[],
    },
    Row {
        key: "backup",
        es: "Respaldo reciente, dentro del tiempo comprometido (RPO)",
        en: "A recent backup, within the promised time (RPO)",
        on: BOTH,
        by: By::Troubles(
            &["backup"],
            &[Kind::BackupOld, Kind::BackupOverdue, Kind::BackupFailed],
        ),
        needed: never,
        shows: &[("age_seconds", Measure::Seconds)],
    },
    Row {
        key: "backup_proven",
        es: "Respaldo en dos discos, comprobado al restaurarlo",
        en: "A backup on two disks, proven by restoring it",
        on: BOTH,
        by: By::Troubles(
            &["backup"],
            &[
                Kind::BackupUnverified,
                Kind::BackupLog,
                Kind::BackupOneDisk,
                Kind::BackupSize,
            ],
        ),
        needed: never,
        shows: &[("verified_age_seconds", Measure::Seconds)],
    },
    Row {
        key: "levels",
        es: "Niveles de atención con responsables y teléfonos",
        en: "Levels of attention with people and telephones",
        on: TESTS,
        by: By::Levels,
        needed: always,
        shows: &[],
    },
];

/// What only a person can see.
pub(super) fn by_hand(after_restore: bool, language: Language) -> Vec<String> {
    let always = [
        (
            "Una persona checó en un dispositivo y su registro apareció en la aplicación en menos de un minuto",
            "Somebody punched at a terminal and it appeared in the application within a minute",
        ),
        (
            "El correo de prueba (sentinel mail test) llegó a cada nivel de atención",
            "The test mail (sentinel mail test) reached each level of attention",
        ),
    ];
    let restored = [
        (
            "Se restauró con satellite restore y satellite restore --report no nombra nada que falte (con otra herramienta: se ejecutó satellite db epoch --new)",
            "It was restored with satellite restore, and satellite restore --report names nothing missing (with another tool: satellite db epoch --new was run)",
        ),
        (
            "Se anotó la hora de inicio y de término, y el respaldo que se usó",
            "Beginning, end and the backup used were written down",
        ),
        (
            "En la aplicación se ven las checadas de antes y de después de la contingencia",
            "The application shows punches from before and after the contingency",
        ),
        (
            "Quien autorizó la restauración revisó este check list",
            "Whoever authorised the restore has seen this check list",
        ),
    ];
    let restored = restored.iter().filter(|_| after_restore);
    let all = restored.chain(&always);
    all.map(|(es, en)| pick(language, *es, *en).to_owned())
        .collect()
}
