//! The table of words: each kind with its side, its commands, its title and its advice.
//!
//! Titles fit the subject of a mail on a telephone; advice is one sentence. Read it beside the
//! operators' manual, whose pages carry the same kinds. What lies around satellite (programs,
//! brokers, certificates, mail) stands in `around.rs`.

use super::commands::{
    ATTACK, COPIES, DISK, DOOR, DURABLE, HOST, LIST, LOCKDOWN, PENDING, PROOF, READ_ONLY, REPLICA,
    SATELLITE, SESSIONS, SHIPPING, STALL, STATUS, STORE, TERMINAL,
};
use super::kinds::{Row, Side};
use crate::kind::Kind;

/// Every kind once, here or in `around.rs`; a test compares.
pub(super) const ROWS: &[Row] = &[
    (
        Kind::SatelliteDown,
        Side::Ours,
        SATELLITE,
        [
            "El Programa Satélite está detenido",
            "Reiniciarlo; los dispositivos conservan sus checadas y las envían después.",
        ],
        [
            "Satellite is down",
            "Start it again; terminals keep their punches and send them afterwards.",
        ],
    ),
    (
        Kind::SatelliteHang,
        Side::Ours,
        SATELLITE,
        [
            "El Programa Satélite no responde",
            "Está en marcha pero congelado: reiniciarlo; no se pierde ninguna checada confirmada.",
        ],
        [
            "Satellite does not answer",
            "It runs but is frozen: restart it; no acknowledged punch is lost.",
        ],
    ),
    (
        Kind::IngestStalled,
        Side::Ours,
        STALL,
        [
            "Sin avance: hay checadas en espera y no se guardan",
            "Ver si otra sesión bloquea la base de datos (respaldo, consulta larga); si no, reiniciar el Programa Satélite.",
        ],
        [
            "Stalled: punches wait and are not stored",
            "See whether another session holds the database (a dump, a long query); if none, restart satellite.",
        ],
    ),
    (
        Kind::AcknowledgedNotFound,
        Side::Ours,
        &[
            "satellite events --canary --since 10m",
            "satellite db status",
            "sentinel status",
        ],
        [
            "Dato confirmado que no se encuentra",
            "Una checada de prueba fue confirmada y no está en la base de datos. Llamar al nivel 2 de inmediato.",
        ],
        [
            "Acknowledged data not found",
            "A test punch was acknowledged and is not in the database. Call level 2 at once.",
        ],
    ),
    (
        Kind::DoorUnreachable,
        Side::Ours,
        &[
            "systemctl status satellite",
            "curl -sS http://127.0.0.1:9810/readyz",
            "sentinel status",
        ],
        [
            "La dirección pública para dispositivos no recibe",
            "Revisar DNS, firewall y proxy delante del Programa Satélite.",
        ],
        [
            "The public address for terminals takes nothing",
            "Check DNS, firewall and the proxy before satellite.",
        ],
    ),
    (
        Kind::ProbePath,
        Side::Ours,
        STATUS,
        [
            "La vigilancia falla, pero las checadas llegan",
            "Revisar el camino de Sentinela al Programa Satélite; el servicio funciona.",
        ],
        [
            "The watch fails while punches arrive",
            "Check the way from sentinel to satellite; the service works.",
        ],
    ),
    (
        Kind::SatelliteRestarts,
        Side::Ours,
        SATELLITE,
        [
            "El Programa Satélite se reinicia una y otra vez",
            "Leer en el registro por qué termina.",
        ],
        [
            "Satellite restarts again and again",
            "Read in its log why it ends.",
        ],
    ),
    (
        Kind::CanarySlow,
        Side::Ours,
        STATUS,
        [
            "Las checadas de prueba tardan",
            "Revisar la carga del servidor y de la base de datos.",
        ],
        [
            "Test punches arrive late",
            "Check the load of the server and of the database.",
        ],
    ),
    (
        Kind::DoorFailing,
        Side::Ours,
        DOOR,
        [
            "Una puerta para dispositivos no recibe",
            "Las demás reciben; el detalle dice cuál falla y qué contesta.",
        ],
        [
            "One door for terminals takes nothing",
            "The others take punches; the detail says which one fails and what it answers.",
        ],
    ),
    (
        Kind::JournalGrowing,
        Side::Database,
        STORE,
        [
            "Rezago: checadas en espera de su base de datos",
            "Están guardadas y en espera, no perdidas; revisar la base de datos.",
        ],
        [
            "Backlog: punches wait for their database",
            "They are kept and wait, none is missing; check the database.",
        ],
    ),
    (
        Kind::QuarantineGrowing,
        Side::Ours,
        &["satellite quarantine list"],
        [
            "Aumentan los registros en revisión",
            "Se guardaron y no se pudieron interpretar; ver de qué dispositivo vienen.",
        ],
        [
            "Records in quarantine pile up",
            "They were stored and could not be read; see from which terminal they come.",
        ],
    ),
    (
        Kind::RejectsRising,
        Side::Outside,
        PENDING,
        ["Aumentan los rechazos", "Ver quién es rechazado y por qué."],
        ["Refusals rise", "See who is refused and why."],
    ),
    (
        Kind::DatabaseDown,
        Side::Database,
        STORE,
        [
            "La base de datos no responde",
            "Levantarla; las checadas esperan en los dispositivos o en el diario, no se pierden.",
        ],
        [
            "The database is down",
            "Bring it up; punches wait in the terminals or in the journal, none is lost.",
        ],
    ),
    (
        Kind::DatabaseHung,
        Side::Database,
        STORE,
        [
            "La base de datos acepta conexiones y no contesta",
            "Revisar bloqueos y disco; si no cede, reiniciarla.",
        ],
        [
            "The database takes connections and does not answer",
            "Look for locks and the disk; restart it if it does not yield.",
        ],
    ),
    (
        Kind::DatabaseReadOnly,
        Side::Database,
        READ_ONLY,
        [
            "La base de datos está en solo lectura",
            "Revisar si es una réplica o se cambió read_only; regresarla a escritura.",
        ],
        [
            "The database is read-only",
            "See whether it is a replica or read_only was set; make it writable again.",
        ],
    ),
    (
        Kind::DatabaseFull,
        Side::Database,
        DISK,
        [
            "El disco de la base de datos está lleno",
            "Liberar espacio; no borrar archivos de la base de datos a mano.",
        ],
        [
            "The database's disk is full",
            "Free space; never delete the database's files by hand.",
        ],
    ),
    (
        Kind::DurabilityWeak,
        Side::Database,
        DURABLE,
        [
            "La base de datos puede perder lo confirmado",
            "Regresar innodb_flush_log_at_trx_commit y sync_binlog a 1.",
        ],
        [
            "The database may lose what it confirmed",
            "Set innodb_flush_log_at_trx_commit and sync_binlog back to 1.",
        ],
    ),
    (
        Kind::DatabaseSlow,
        Side::Database,
        SESSIONS,
        [
            "La base de datos está lenta",
            "Ver consultas largas y carga del servidor.",
        ],
        [
            "The database is slow",
            "Look for long queries and the server's load.",
        ],
    ),
    (
        Kind::DatabaseConnections,
        Side::Database,
        SESSIONS,
        [
            "Se agotan las conexiones de la base de datos",
            "Ver qué programa las ocupa, o subir max_connections.",
        ],
        [
            "The database's connections run out",
            "See which program holds them, or raise max_connections.",
        ],
    ),
    (
        Kind::Replication,
        Side::Database,
        REPLICA,
        [
            "La réplica o el clúster está atrasado o incompleto",
            "Revisar el estado de la réplica.",
        ],
        [
            "The replica or cluster is behind or not whole",
            "Check the state of the replica.",
        ],
    ),
    (
        Kind::DatabaseReplaced,
        Side::Database,
        STORE,
        [
            "Contesta otra base de datos, o un respaldo",
            "Si se restauró: el Programa Satélite vuelve a pedir lo que falta a los dispositivos.",
        ],
        [
            "Another database, or an older copy, answers",
            "If it was restored: satellite asks the terminals again for what is missing.",
        ],
    ),
    (
        Kind::BackupOld,
        Side::Database,
        COPIES,
        [
            "El respaldo está por exceder lo prometido",
            "Revisar el último respaldo y su programación.",
        ],
        [
            "The backup is nearly older than promised",
            "Check the last backup and its schedule.",
        ],
    ),
    (
        Kind::BackupOverdue,
        Side::Database,
        COPIES,
        [
            "El respaldo excede lo prometido",
            "Ejecutar un respaldo ahora y revisar por qué no corrió.",
        ],
        [
            "The backup is older than promised",
            "Run a backup now and see why none ran.",
        ],
    ),
    (
        Kind::BackupFailed,
        Side::Database,
        COPIES,
        [
            "El último respaldo falló",
            "Hacer lo que dice el detalle y ejecutar un respaldo; la última copia buena sigue intacta.",
        ],
        [
            "The last backup failed",
            "Do what the detail says and run a backup; the last good copy is untouched.",
        ],
    ),
    (
        Kind::BackupUnverified,
        Side::Database,
        PROOF,
        [
            "El respaldo no está comprobado",
            "Comprobarlo ahora; un respaldo que no se ha restaurado no es seguro.",
        ],
        [
            "The backup is not verified",
            "Verify it now; a backup that was never restored is not safe.",
        ],
    ),
    (
        Kind::BackupLog,
        Side::Database,
        SHIPPING,
        [
            "La bitácora del servidor no se está enviando",
            "Hacer lo que dice el detalle; mientras tanto, lo que se perdería crece hasta el último respaldo.",
        ],
        [
            "The binary log is not being shipped",
            "Do what the detail says; meanwhile, what would be lost grows back to the last backup.",
        ],
    ),
    (
        Kind::BackupOneDisk,
        Side::Database,
        COPIES,
        [
            "El respaldo está en un solo disco",
            "Conectar la segunda ubicación; sin ella, al perder el servidor se pierde todo.",
        ],
        [
            "The backup is on one disk only",
            "Connect the second location; without it, losing the server loses everything.",
        ],
    ),
    (
        Kind::BackupSize,
        Side::Database,
        PROOF,
        [
            "El respaldo cambió mucho de tamaño",
            "Ver si se borró o se cargó algo; comprobar el respaldo y conservar el anterior.",
        ],
        [
            "The backup's size has jumped",
            "See whether something was deleted or loaded; verify the backup and keep the one before.",
        ],
    ),
    (
        Kind::HostSilent,
        Side::Server,
        HOST,
        [
            "Un servidor no da señales",
            "Entrar a la consola del proveedor y ver si está encendido.",
        ],
        [
            "A server is silent",
            "Open the provider's console and see whether it runs.",
        ],
    ),
    (
        Kind::HostCpu,
        Side::Server,
        HOST,
        ["Procesador ocupado sin pausa", "Ver qué programa lo ocupa."],
        [
            "The processor is busy without end",
            "See which program keeps it busy.",
        ],
    ),
    (
        Kind::HostMemory,
        Side::Server,
        HOST,
        ["Se agota la memoria", "Ver qué programa la ocupa."],
        ["Memory runs out", "See which program holds it."],
    ),
    (
        Kind::HostSwap,
        Side::Server,
        HOST,
        [
            "El servidor usa memoria de intercambio",
            "Ver qué programa ocupa la memoria.",
        ],
        ["The server swaps", "See which program holds the memory."],
    ),
    (
        Kind::DiskFilling,
        Side::Server,
        DISK,
        [
            "El disco se va a llenar",
            "Liberar espacio antes de la hora indicada.",
        ],
        ["A disk will be full", "Free space before the time shown."],
    ),
    (
        Kind::DiskFull,
        Side::Server,
        DISK,
        ["Disco lleno", "Liberar espacio ahora."],
        ["A disk is full", "Free space now."],
    ),
    (
        Kind::DiskReadOnly,
        Side::Server,
        &["dmesg -T | tail -n 30", "findmnt --types ext4,xfs,btrfs"],
        [
            "Un disco quedó de solo lectura",
            "Revisar el disco con el proveedor; no reiniciar sin un respaldo reciente.",
        ],
        [
            "A disk became read-only",
            "Check the disk with the provider; do not restart without a recent backup.",
        ],
    ),
    (
        Kind::InodesLow,
        Side::Server,
        &["df -i"],
        [
            "Se agotan los inodos del disco",
            "Buscar carpetas con demasiados archivos pequeños.",
        ],
        [
            "A disk runs out of inodes",
            "Look for folders with too many small files.",
        ],
    ),
    (
        Kind::HostNetwork,
        Side::Server,
        &["ip -s link"],
        [
            "La red del servidor falla",
            "Revisar la interfaz y la consola del proveedor.",
        ],
        [
            "The server's network fails",
            "Check the interface and the provider's console.",
        ],
    ),
    (
        Kind::ClockUnsynchronised,
        Side::Server,
        &["timedatectl"],
        [
            "El reloj del servidor no está sincronizado",
            "Activar la sincronización; mientras tanto no se ajustan los dispositivos.",
        ],
        [
            "The server's clock is not synchronised",
            "Turn synchronisation on; until then terminals' clocks are left alone.",
        ],
    ),
    (
        Kind::HostRebooted,
        Side::Server,
        &["last -x reboot | head", "journalctl -b -1 -n 50"],
        ["El servidor se reinició", "Confirmar que fue planeado."],
        ["The server rebooted", "Make sure that it was planned."],
    ),
    (
        Kind::PeerSilent,
        Side::Server,
        STATUS,
        [
            "El otro Sentinela no da señales",
            "Revisar el servidor donde corre.",
        ],
        [
            "The other sentinel is silent",
            "Check the server on which it runs.",
        ],
    ),
    (
        Kind::SentinelDisk,
        Side::Server,
        DISK,
        [
            "Sentinela no puede escribir en su disco",
            "Liberar espacio en el disco de Sentinela; los avisos salen desde la memoria.",
        ],
        [
            "Sentinel cannot write to its disk",
            "Free space on sentinel's disk; alerts leave from memory meanwhile.",
        ],
    ),
    (
        Kind::Blind,
        Side::Ours,
        STATUS,
        [
            "Sin datos de una revisión",
            "Sentinela no puede ver algo desde hace rato; no se sabe si funciona.",
        ],
        [
            "A check knows nothing",
            "Sentinel has not been able to see something for a while; whether it works is not known.",
        ],
    ),
    (
        Kind::ApplicationDown,
        Side::Application,
        LIST,
        [
            "La aplicación del cliente no funciona",
            "Revisar Apache, PHP y la base de datos de ese cliente.",
        ],
        [
            "The client's application is down",
            "Check Apache, PHP and that client's database.",
        ],
    ),
    (
        Kind::ApplicationPartial,
        Side::Application,
        LIST,
        [
            "La aplicación del cliente funciona a medias",
            "Revisar el indicador señalado.",
        ],
        [
            "The client's application works in part",
            "Check the indicator that is named.",
        ],
    ),
    (
        Kind::TerminalOffline,
        Side::Site,
        TERMINAL,
        [
            "Sin conexión con dispositivos",
            "Llamar al sitio: energía y red. Las checadas siguen guardadas en el dispositivo.",
        ],
        [
            "Terminals are offline",
            "Call the site: power and network. Punches stay in the terminal meanwhile.",
        ],
    ),
    (
        Kind::TerminalSilent,
        Side::Terminal,
        TERMINAL,
        [
            "Un dispositivo está conectado y no llegan sus checadas",
            "Llamar al sitio: preguntar si checan y si el dispositivo marca error.",
        ],
        [
            "A terminal is connected and its punches are missing",
            "Call the site: ask whether people punch and whether the terminal shows an error.",
        ],
    ),
    (
        Kind::ClockSkew,
        Side::Terminal,
        TERMINAL,
        [
            "El reloj de un dispositivo está mal",
            "Corregir su hora y su zona; las checadas guardan la hora que dijo el dispositivo.",
        ],
        [
            "A terminal's clock is wrong",
            "Set its time and zone; punches keep the time that the terminal said.",
        ],
    ),
    (
        Kind::LogFilling,
        Side::Terminal,
        TERMINAL,
        [
            "La memoria de un dispositivo se llena",
            "Confirmar que sus checadas ya están guardadas y vaciar su registro.",
        ],
        [
            "A terminal's log is filling",
            "Make sure that its punches are stored, then clear its log.",
        ],
    ),
    (
        Kind::GapOpen,
        Side::Terminal,
        TERMINAL,
        [
            "Hueco: faltan checadas que no se pudieron pedir",
            "Ver el hueco y pedir las checadas de nuevo.",
        ],
        [
            "Gap: punches are missing and could not be fetched",
            "See the gap and fetch the punches again.",
        ],
    ),
    (
        Kind::DuplicateSerial,
        Side::Outside,
        TERMINAL,
        [
            "Una misma serie envía desde dos lugares",
            "Puede ser un equipo clonado: confirmar con el sitio cuál es el verdadero.",
        ],
        [
            "One serial sends from two places",
            "It may be a clone: ask the site which one is real.",
        ],
    ),
    (
        Kind::UnknownTerminals,
        Side::Outside,
        PENDING,
        [
            "Envían dispositivos que nadie dio de alta",
            "Darlos de alta si son nuestros; si no, investigar.",
        ],
        [
            "Terminals that nobody enrolled send",
            "Enrol them if they are ours; else find out.",
        ],
    ),
    (
        Kind::RefusedTerminals,
        Side::Outside,
        PENDING,
        [
            "Insisten dispositivos bloqueados o sin prueba",
            "Ver desde dónde y avisar al sitio.",
        ],
        [
            "Blocked or unproven terminals insist",
            "See from where and tell the site.",
        ],
    ),
    (
        Kind::UnderAttack,
        Side::Outside,
        ATTACK,
        [
            "Parece un ataque: prueban tokens o series",
            "Cerrar esa dirección en el cortafuegos; si algo entró, lockdown on y evidence.",
        ],
        [
            "It looks like an attack: tokens or serials are tried",
            "Shut that address out at the firewall; if something got in: lockdown on, evidence.",
        ],
    ),
    (
        Kind::Lockdown,
        Side::Ours,
        LOCKDOWN,
        [
            "Bloqueo de seguridad en vigor",
            "Se sigue guardando; órdenes y altas están detenidas. Terminarlo al cerrar la contingencia.",
        ],
        [
            "A lockdown is in force",
            "Punches are stored; commands and enrolments are stopped. End it when it is over.",
        ],
    ),
];
