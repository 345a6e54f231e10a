//! What people read, in Spanish and in English, in one place.
//!
//! Spanish comes first, with the words of the field: dispositivo, cliente, checada, en revisión.
//! `{}` in a text is filled in order, and both languages have the same places. What is carried or
//! stored as a word or in English is worded in `terms.rs`; a server's own words stay as they are.

use std::fmt::Display;

pub(crate) use console::Lang;

use super::terms;

/// A text that there is in both languages.
pub(crate) trait Bilingual {
    /// Spanish and English.
    fn texts(self) -> (&'static str, &'static str);
}

/// How a language says what stands here and in `terms.rs`.
pub(crate) trait Speaks {
    /// The text with its places filled in order.
    fn say(self, text: impl Bilingual, values: &[&dyn Display]) -> String;

    /// Names of columns or facts.
    fn headings<const N: usize>(self, words: &[Word; N]) -> [&'static str; N];

    /// A word of the databases or of `/status` as people say it; unknown ones stay as they are.
    fn term(self, word: &str) -> String;

    /// What satellite, a protocol or the system says beside a fact: in English as it is carried
    /// and stored, in Spanish where that is known.
    fn detail(self, english: &str) -> String;
}

impl Speaks for Lang {
    fn say(self, filled: impl Bilingual, values: &[&dyn Display]) -> String {
        let mut text = String::new();
        let mut values = values.iter();
        let (es, en) = filled.texts();
        let mut parts = self.pick(es, en).split("{}");
        text.push_str(parts.next().unwrap_or_default());
        for part in parts {
            if let Some(value) = values.next() {
                text.push_str(&value.to_string());
            }
            text.push_str(part);
        }
        text
    }

    fn headings<const N: usize>(self, words: &[Word; N]) -> [&'static str; N] {
        words.map(|word| {
            let (es, en) = word.texts();
            self.pick(es, en)
        })
    }

    fn term(self, word: &str) -> String {
        let spanish = terms::spanish(word).filter(|_| self == Self::Es);
        spanish.unwrap_or(word).to_owned()
    }

    fn detail(self, english: &str) -> String {
        let spanish = self.pick(satellite::detail::spanish(english), None);
        spanish.unwrap_or_else(|| english.to_owned())
    }
}

/// Texts for people, each in Spanish and in English.
macro_rules! texts {
    ($list:ident; $($name:ident: $es:literal, $en:literal;)+) => {
        /// A text for people.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $list {
            $($name,)+
        }

        #[cfg(test)]
        impl $list {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),+];
        }

        impl $crate::cli::words::Bilingual for $list {
            fn texts(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => ($es, $en),)+
                }
            }
        }
    };
}
pub(crate) use texts;

texts! {
    Word;

    // Headings.
    Ack: "confirmación", "ack";
    Address: "dirección", "address";
    Approved: "aprobados", "approved";
    Before: "anteriores al alta", "gone before us";
    Blocked: "bloqueados", "blocked";
    Bytes: "bytes", "bytes";
    CameLate: "llegaron tarde", "came late";
    Clock: "reloj", "clock";
    ClockAhead: "reloj adelantado", "clock ahead by";
    Completeness: "integridad", "completeness";
    CountEpoch: "reinicios de su cuenta", "restarts of its count";
    Connection: "conexión", "connection";
    Detail: "detalle", "detail";
    Device: "dispositivo", "device";
    Dialect: "protocolo", "protocol";
    DeviceId: "id de alta", "device id";
    Epoch: "época", "epoch";
    Firmware: "firmware", "firmware";
    FirstSeen: "visto desde", "first seen";
    FirstTime: "primera vez", "first time";
    Footprints: "huellas nuestras", "our own traces";
    From: "desde", "from";
    HeardFrom: "llega de", "heard from";
    BroughtBy: "lo trae el equipo remoto", "brought by the edge";
    EdgeSaidAt: "último aviso del equipo remoto", "last word of the edge";
    EdgeLag: "rezago del equipo remoto", "lag of the edge";
    EdgeHeldBack: "sus dispositivos sin aprobar", "its terminals not approved";
    InReview: "en revisión", "quarantined";
    Kind: "tipo", "kind";
    LastContact: "último contacto", "last contact";
    LastEvent: "último evento", "last event";
    LastStored: "último registro guardado", "last serial stored";
    LastTime: "última vez", "last time";
    LocalTime: "hora local", "local time";
    LogUsed: "registros en memoria", "records in its log";
    Lost: "perdidos", "lost";
    Meaning: "es decir", "that is";
    Missing: "huecos", "missing";
    Model: "modelo", "model";
    Name: "nombre", "name";
    NewestThere: "último en el dispositivo", "newest on the device";
    NextNumber: "número siguiente", "next number";
    Number: "número", "id";
    People: "personas dadas de alta", "people in it";
    Person: "persona", "person";
    PollEvery: "se pregunta cada", "asked every";
    Punches: "checadas", "punches";
    Reached: "cómo llega", "reached by";
    Reason: "motivo", "reason";
    Route: "vía", "route";
    Search: "búsqueda", "search";
    Seen: "veces", "times";
    Serial: "serie", "serial";
    Settled: "resuelto", "settled";
    Site: "sitio", "site";
    Source: "origen", "source";
    State: "estado", "state";
    Status: "estatus", "status";
    Store: "base", "store";
    Stream: "eventos en vivo", "live stream";
    TakesFrom: "acepta desde", "accepts from";
    Tenant: "cliente", "tenant";
    Time: "hora", "time";
    TimeZone: "zona horaria", "time zone";
    User: "usuario", "user";
    Vendor: "marca", "vendor";
    Verify: "verificación", "verify";
    Version: "versión", "schema";

    // Tenants, databases.
    UnknownTenant: "no hay cliente '{}'; hay: {}", "there is no tenant '{}'; there are: {}";
    WhichTenant: "indique el cliente con --tenant; hay: {}", "say which with --tenant; there are: {}";
    StoreTrouble: "la base de datos {} ({}): {}: {}", "the database {} ({}): {}: {}";
    SchemaBehind:
        "la base de datos {} no tiene sus tablas al día (versión {}, se necesita {}); ejecute: {} db migrate",
        "the tables of the database {} are not up to date (version {}, needed {}); run: {} db migrate";
    MigrationDenied:
        "este usuario no puede crear ni actualizar las tablas ({}); ejecute db migrate con una configuración cuyo usuario pueda",
        "this user may not make or update the tables ({}); run db migrate with a configuration whose user may";
    MirrorTrouble: "la copia local en {} no se puede leer: {}", "the local copy in {} cannot be read: {}";
    MirrorNeeded: "falta la carpeta de estado {}", "the state folder {} is missing";
    FromCopy: "{}; se muestra la copia local", "{}; showing the local copy";
    ConfigRight: "la configuración es correcta: {}", "configuration is right: {}";
    BuiltIn: "valores de fábrica, sin archivo", "built-in defaults, no file";
    TenantLine: "cliente {} ({}): {} {}, {}, base: {}", "tenant {} ({}): {} {}, {}, store: {}";
    SetsClock: "se ajusta con la hora del Programa Satélite", "set from satellite's time";
    LeavesClock: "no se toca", "left alone";
    StoreReady: "Operación normal: {} {}{}", "ready: {} {}{}";
    StoreEmpty:
        "sin tablas al día: {} {} (las crea el servicio al arrancar, o: {} db migrate)",
        "tables not up to date: {} {} (the service makes them as it starts, or: {} db migrate)";
    StoreFails: "no responde bien: {} {}: {}", "in trouble: {} {}: {}";
    Migrated: "{} {}: tablas al día, versión {}", "{} {}: tables made or updated, version {}";
    MigratedBefore: "{} {}: ya estaba al día, versión {}", "{} {}: was up to date, version {}";
    PendingCount: "dispositivos pendientes: {}", "pending devices: {}";
    NewEpoch: "{} {}: época {}, número siguiente {}", "{} {}: epoch {}, next number {}";
    NoAudit: "no quedó anotado en la bitácora: {}", "this was not noted in the audit: {}";
    TopNoTerminal: "top necesita una terminal (por ssh: ssh -t). Sin ella: satellite devices list, o curl http://{}/status", "top needs a terminal (over ssh: ssh -t). Without one: satellite devices list, or curl http://{}/status";
    TopSilent: "El Programa Satélite no responde en {}: {}. Vea: systemctl status satellite", "satellite does not answer at {}: {}. See: systemctl status satellite";
    TopHead: "satellite {}   en marcha {}   conexiones {}   pendientes {}", "satellite {}   up {}   connections {}   pending {}";
    TopRates: "eventos/s {}   repetidos/s {}   a revisión/s {}   rechazos/s {}", "events/s {}   repeated/s {}   set aside/s {}   refused/s {}";
    TopLatency: "respuesta 50 % {}, 99 % {}   guardar 50 % {}, 99 % {}", "answer 50 % {}, 99 % {}   commit 50 % {}, 99 % {}";
    TopStoreDown: "! Base de datos {}: {}; lo más viejo espera {} s", "! Database {}: {}; the oldest waits {} s";
    TopLockdown: "! Bloqueo de seguridad en vigor (satellite lockdown status)", "! A lockdown holds (satellite lockdown status)";
    TopAttacks: "! Parece un ataque: {} (satellite evidence)", "! Looks like an attack: {} (satellite evidence)";
    TopOutputIll: "SALIDA {}: {}: {}", "OUTPUT {}: {}: {}";
    TopInputIll: "ENTRADA {}: {}: {}", "INPUT {}: {}: {}";
    TopOnline: "en línea", "online";
    TopQuiet: "sin envíos", "quiet";
    TopEventsPerSecond: "eventos/s", "events/s";
    TopRepeatedPerSecond: "repetidos/s", "repeated/s";
    TopConditions: "avisos", "conditions";
    TopWithConditions: "con avisos", "with conditions";
    TopNone: "ninguno", "none";
    TopMore: "… y {} más", "… and {} more";
    TopFoot: "q: salir", "q: quit";
    RetentionTooYoung: "{} es demasiado reciente: solo se archiva lo que tiene más de 30 días", "{} is too recent: only what is older than 30 days is archived";
    RetentionNoFolder: "no existe la carpeta {}; créela, del usuario satellite: install -d -o satellite -g satellite -m 0750", "there is no folder {}; make it, for the user satellite: install -d -o satellite -g satellite -m 0750";
    RetentionCounted: "{} {}: se archivarían {} registros ({} bytes de sus datos); se quedan {}", "{} {}: {} records would go ({} bytes of their data); {} stay";
    RetentionNothingDone: "No se cambió nada. Para archivar y vaciar: {} db retention … --archive CARPETA --apply", "Nothing was changed. To archive and empty them: {} db retention … --archive FOLDER --apply";
    RetentionArchived: "{}: {} registros, SHA-256 {}", "{}: {} records, SHA-256 {}";
    RetentionEmptied: "{} {}: vaciados {} registros; queda su identidad, para que un envío repetido no vuelva a entrar", "{} {}: {} records emptied; their identity stays, so that none comes back when it is sent again";
    RetentionNoPolicy: "Ningún cliente tiene `keep` en la configuración: todo se conserva", "No tenant has `keep` in the configuration: everything is kept";
    HoldBegins: "{}: conservación legal en vigor; nada de este cliente se archiva ni se vacía", "{}: legal hold in force; nothing of this tenant is archived or emptied";
    HoldHeld: "{}: ya estaba en conservación legal", "{}: was under legal hold already";
    HoldEnds: "{}: terminó la conservación legal", "{}: the legal hold has ended";
    HoldNone: "{}: no estaba en conservación legal", "{}: was not under legal hold";
    NoHold: "Ningún cliente está en conservación legal", "No tenant is under legal hold";
    HeldStill: "{} está en conservación legal desde {}, de {}: nada se archiva ni se vacía. Para terminarla: {} db hold off --tenant {}", "{} is under legal hold since {}, by {}: nothing is archived or emptied. To end it: {} db hold off --tenant {}";
    CanariesDeleted: "{}: eventos de prueba borrados: {} (de más de {} días)", "{}: canary events deleted: {} (older than {} days)";

    // Devices.
    Enrolled: "{}: dado de alta para el cliente {} y aprobado", "{}: enrolled for tenant {} and approved";
    EnrolledBefore: "{}: ya era del cliente {}; aprobado, datos actualizados", "{}: was tenant {}'s already; approved, details updated";
    Replaced: "{}: comienza un historial nuevo para el cliente {}", "{}: a new history begins for tenant {}";
    Moved: "{}: pasa del cliente {} al cliente {}; comienza un historial nuevo", "{}: moves from tenant {} to tenant {}; a new history begins";
    AcceptsFrom: "Los registros anteriores a {} se confirman al dispositivo y no se guardan.", "Records older than {} are acknowledged and not stored.";
    TakesAll: "siempre (todo lo que traiga)", "always (everything it holds)";
    Noticed: "El Programa Satélite en marcha lo nota en 10 segundos a más tardar.", "A running satellite notices within 10 seconds.";
    ThenTrace: "Para ver hasta dónde llega: {} trace {}", "To see how far it gets: {} trace {}";
    ApprovedNow: "{}: aprobado, cliente {}", "{}: approved, tenant {}";
    BlockedNow: "{}: bloqueado; el dispositivo conserva sus registros", "{}: blocked; the terminal keeps its records";
    BelongsTo: "{} es del cliente {}; para pasarlo: {} devices add --tenant {} --vendor {} --serial {}", "{} belongs to tenant {}; to move it: {} devices add --tenant {} --vendor {} --serial {}";
    NeverSeen: "{} nunca se ha conectado; revise que la serie esté bien escrita", "{} has never connected; check that the serial is spelled right";
    PendingIsOut: "{} no está aprobado: sus registros ya se rechazan, no hay nada que bloquear", "{} is not approved: its records are refused already, there is nothing to block";
    UnknownSerial: "no hay dispositivo con la serie {}; vea: {} devices list", "there is no terminal with the serial {}; see: {} devices list";
    OnlyHikvision: "--listen, --user y --mac no son para ZKTeco; un ZKTeco envía por sí mismo o se consulta con --address", "--listen, --user and --mac are not for ZKTeco; a ZKTeco terminal pushes by itself, or is dialled with --address";
    OtherPosts: "los equipos de otras marcas envían ellos: solo --listen, sin --address, --user, --secret-file ni --mac", "terminals of other makes post by themselves: --listen only, without --address, --user, --secret-file and --mac";
    IngestHow: "Envíe ahí los registros con POST, como JSON o CSV; los lee el [[mapping]] de la configuración que nombre su serie; sin él deben ser satellite.records/1. Pruébelo con: curl --data-binary @registros.json URL", "Send its records there with POST, as JSON or CSV; the [[mapping]] of the configuration that names its serial reads them; without one they have to be satellite.records/1. Try it with: curl --data-binary @records.json URL";
    AdviseIngest: "Nunca ha llegado un envío con la URL de este equipo, o no traía registros. Revise en quien envía la URL completa, el protocolo y el cortafuegos. Para una URL nueva: {} devices rotate-token {}. Si habla por él otro equipo, revise ese: {} devices list", "No post with this sender's URL has ever come, or none had records. Check the whole URL, the protocol and the firewall at the sender. For a new URL: {} devices rotate-token {}. If another sender speaks for it, check that one: {} devices list";
    KeyNeedsAddress: "--secret-file (el archivo con la clave de comunicación) va junto con --address", "--secret-file (the file with the communication key) goes with --address";
    BadKey: "la clave de comunicación es un número; el archivo tiene otra cosa", "the communication key is a number; the file holds something else";
    PulledAt: "Se consulta en {} (puerto 4370 por TCP y UDP).", "It is dialled at {} (the protocol of port 4370, TCP and UDP).";
    Connection4370: "conexión 4370", "4370 connection";
    Counted: "registros según él", "records it counts";
    ReadOf: "registros leídos", "records read";
    ReadAt: "leído hasta el final", "read to its end";
    Unresolved: "sin persona", "without a person";
    LivePunches: "checadas en vivo", "live punches";
    ComeLive: "sí", "yes";
    ComeNot: "no", "no";
    UnknownVendor: "no hay marca '{}'; hay: zkteco, hikvision, other, satellite", "there is no vendor '{}'; there are: zkteco, hikvision, other, satellite";
    EdgePosts: "un equipo remoto entrega él: solo --listen, sin --address, --user, --secret-file ni --mac", "an edge delivers by itself: --listen only, without --address, --user, --secret-file and --mac";
    EdgeTo: "En el equipo remoto, en /etc/satellite/satellite.toml: [edge] to = \"{}\"", "On the edge, in /etc/satellite/satellite.toml: [edge] to = \"{}\"";
    EdgeToken: "Su token, para el archivo que nombra token_file; no se vuelve a mostrar, y quien lo tenga puede entregar registros de este cliente: {}", "Its token, for the file that token_file names; it is not shown again, and whoever has it can deliver records of this tenant: {}";
    EdgeHttps: "Es HTTP sin cifrar, que un equipo remoto solo usa con allow_internal = true; ponga listen.devices_tls y public_url con https://", "This is plain HTTP, which an edge uses only with allow_internal = true; set listen.devices_tls, and a public_url with https://";
    PlainNeedsDaemon: "Quién usa HTTP sin cifrar lo sabe el Programa Satélite en marcha, y no contesta en {}: {}", "Who speaks plain HTTP is known to the running satellite, which does not answer at {}: {}";
    NonePlain: "Ningún dispositivo aprobado mandó su última petición por HTTP sin cifrar", "No approved terminal sent its last request over plain HTTP";
    Scope: "alcance", "scope";
    Since: "desde", "since";
    Actor: "quién", "who";
    Everything: "todo", "everything";
    LockdownBegins: "Bloqueo de seguridad en vigor: {}. Lo que envían los dispositivos aprobados se sigue guardando; órdenes, altas y salidas quedan detenidas.", "Lockdown in force: {}. What approved terminals bring is stored as before; commands, enrolments and outputs are stopped.";
    LockdownHeld: "El bloqueo de seguridad ya estaba en vigor: {}", "The lockdown was in force already: {}";
    LockdownEnds: "Terminó el bloqueo de seguridad: {}", "The lockdown has ended: {}";
    LockdownNone: "No había bloqueo de seguridad: {}", "There was no lockdown: {}";
    NoLockdown: "No hay bloqueo de seguridad", "No lockdown is in force";
    LockedDown: "Hay un bloqueo de seguridad desde {}, de {}. Al terminar la contingencia: {} lockdown off{}", "A lockdown is in force since {}, by {}. When it is over: {} lockdown off{}";
    Visits: "consulta", "visits";
    VisitedEvery: "una vez cada {}", "once every {}";
    SearchedOften: "sin horario propio: cada pocos segundos", "no schedule of its own: every few seconds";
    StayedWith: "sin horario propio: conexión permanente", "no schedule of its own: always connected";
    ScheduleTime: "'{}' no sirve; escriba de 30s a 1h, por ejemplo 15m", "'{}' cannot be used; write 30s to 1h, for example 15m";
    ScheduleNotDialled: "{} no se consulta: él envía solo, cuando tiene algo. Un horario es para dispositivos dados de alta con --address", "{} is not dialled: it sends by itself, when there is something. A schedule is for terminals that were enrolled with --address";
    TokenRotated: "{}: el token anterior deja de servir en 10 segundos a más tardar; lo que el dispositivo envíe con él se rechaza.", "{}: the old token stops working within 10 seconds; what the device sends with it is refused.";
    NoTokenZkteco: "{} es ZKTeco y no tiene token. Lo protegen la aprobación, networks en [[tenant]], TLS o una VPN; para cerrarle la puerta: {} devices block {}", "{} is a ZKTeco terminal and has no token. Approval, networks in [[tenant]], TLS or a VPN protect it; to shut it out: {} devices block {}";
    NoToken: "{} no envía a una dirección propia: no tiene token. Para dárselo: {} devices add --tenant {} --vendor {} --serial {} --listen", "{} does not post to an address of its own: it has no token. To give it one: {} devices add --tenant {} --vendor {} --serial {} --listen";
    EvidencePart: "{}, renglones: {}", "{}, lines: {}";
    EvidenceNoTime: "--until debe ser posterior a --since", "--until has to be later than --since";
    EvidenceThere: "{} ya existe y no se escribe encima: indique otro archivo en --out", "{} exists and is not written over: name another file with --out";
    EvidenceDone: "{}, SHA-256 {}", "{}, SHA-256 {}";
    EvidenceVerify: "Para comprobarla: sha256sum -c {}.sha256 && tar xf {} && sha256sum -c SHA256SUMS", "To verify it: sha256sum -c {}.sha256 && tar xf {} && sha256sum -c SHA256SUMS";
    NoDevices: "No hay dispositivos. Para dar de alta: {} devices add --tenant CLIENTE --vendor zkteco --serial SERIE", "No devices. To enrol one: {} devices add --tenant TENANT --vendor zkteco --serial SERIAL";
    ApproveThem: "Para aprobar: {} devices approve SERIE --tenant CLIENTE", "To approve: {} devices approve SERIAL --tenant TENANT";
    ApproveIt: "Para aprobarlo: {} devices approve {} --tenant {}", "To approve it: {} devices approve {} --tenant {}";
    TenantHere: "CLIENTE", "TENANT";
    AddressHere: "HOST:PUERTO", "HOST:PORT";
    UserHere: "USUARIO", "USER";
    FileHere: "ARCHIVO", "FILE";
    ImportVendor: "la marca '{}' no se puede importar aquí; solo zkteco. Un Hikvision lleva su propia cuenta o URL: {} devices add --tenant {} --vendor hikvision --serial {}", "terminals of the vendor '{}' cannot be imported, only zkteco. A Hikvision device has an account or a URL of its own: {} devices add --tenant {} --vendor hikvision --serial {}";
    PendingSince: "{}: pendiente de aprobar, visto desde {}, dirección {}", "{}: pending, first seen {}, from {}";
    AuditLine: "{}  {}  {}", "{}  {}  {}";
    TypeThis: "En el dispositivo (Menú → COM. → Configuración del servidor en la nube):", "In the terminal (Menu → COMM. → Cloud Server Setting):";
    SettingMode: "  Modo del servidor", "  Server mode";
    SettingDomain: "  Habilitar nombre de dominio", "  Enable domain name";
    SettingAddress: "  Dirección del servidor", "  Server address";
    SettingPort: "  Puerto", "  Server port";
    SettingProxy: "  Proxy", "  Proxy";
    SettingHttps: "  HTTPS", "  HTTPS";
    SettingType: "  Tipo de dispositivo", "  Device type";
    ThisMachine: "(la dirección de este equipo)", "(this machine's address)";
    SetPublicUrl: "Escriba listen.public_url en la configuración para que aquí aparezca la dirección exacta.", "Set listen.public_url in the configuration and the exact address appears here.";
    RestartIt: "Muchos modelos toman la dirección nueva solo después de reiniciarse.", "Many models take a new address only after a restart.";
    Yes: "sí", "on";
    No: "no", "off";
    IfName: "sí, cuando la dirección es un nombre", "on when the address is a name";
    // Hikvision.
    HowReached: "indique cómo llegan sus eventos: --address HOST:PUERTO con --user y --secret-file si se puede llegar al dispositivo, o --listen para que él envíe; si lo trae un equipo remoto, basta con aprobarlo: devices approve", "say how its events come: --address HOST:PORT with --user and --secret-file where it can be reached, or --listen to let it post; one that an edge brings is only approved: devices approve";
    NeedsAddress: "--user y --secret-file van junto con --address", "--user and --secret-file go with --address";
    NeedsUser: "--address necesita --user y --secret-file (el archivo con la contraseña; nunca la contraseña misma)", "--address needs --user and --secret-file (the file with the password, never the password itself)";
    BadAddress: "la dirección '{}' no sirve; se escribe HOST:PUERTO, por ejemplo 10.8.0.20:80", "the address '{}' cannot be used; write HOST:PORT, for example 10.8.0.20:80";
    ShortSerial: "la serie {} es demasiado corta para reconocer al dispositivo; use la completa (al menos {} caracteres) o agregue --mac", "the serial {} is too short to recognise the device by; use the whole one (at least {} characters) or add --mac";
    SecretTrouble: "la contraseña del dispositivo no se puede leer: {}", "the device's password cannot be read: {}";
    BadUser: "el usuario no sirve: {}", "the user cannot be used: {}";
    DialledAt: "Se consulta en {} con el usuario {}; el archivo de la contraseña se puede leer.", "It is dialled at {} as user {}; the file with the password can be read.";
    Rotated: "La URL anterior ya no sirve: cambie la del dispositivo por esta.", "The URL it had before is void now: put this one into the device.";
    UrlHost: "DIRECCION", "ADDRESS";
    ListenUrl: "URL del dispositivo (se muestra solo esta vez):\n  {}", "The device's URL (shown this once):\n  {}";
    ListenMenu: "En la página web del dispositivo (Configuración → Red → Avanzada → Escucha HTTP):", "In the device's web page (Configuration → Network → Advanced → HTTP Listening):";
    HttpHost: "  IP o nombre de dominio", "  Event alarm IP / domain name";
    HttpPath: "  URL", "  URL";
    HttpProtocol: "  Protocolo", "  Protocol";
    ListenName: "Algunos modelos aceptan aquí solo una dirección IP.", "Some models take only an IP address here.";
    ListenOnce: "La URL es la clave del dispositivo: no la comparta. Para una nueva, repita la orden con --listen.", "The URL is the device's key: do not share it. For a new one, give the command with --listen again.";
    CommandBlocked: "{} está bloqueado: no se le mandan órdenes", "{} is blocked: nothing is sent to it";
    CommandCode: "resultado", "result";
    CommandExpiry: "'{}' no es un plazo; escriba de 1s a 24h, por ejemplo 10m", "'{}' is no length of time; write 1s to 24h, for example 10m";
    CommandNames: "indique con --names de 1 a 32 nombres de ajustes, separados por comas; los que guardan contraseñas no se piden", "give 1 to 32 names of settings with --names, separated by commas; those that hold passwords are never asked for";
    CommandNotPush: "{} no es un dispositivo ZKTeco de envío automático: no recibe órdenes", "{} is not a ZKTeco push terminal: it takes no commands";
    CommandProgress: "{}; entregada {} veces, {} registros recibidos", "{}; handed out {} times, {} records came";
    CommandQueued: "orden {} anotada: {}", "command {} written down: {}";
    CommandRecords: "registros", "records";
    CommandRefused: "'{}' no se manda: {}", "'{}' is not sent: {}";
    CommandSilent: "el dispositivo no contestó; vea si llega: {} trace {}", "the terminal did not answer; see whether it gets through: {} trace {}";
    CommandWindow: "indique el tiempo con --from y --to, en la hora del dispositivo, por ejemplo --from \"2026-11-20 00:00:00\" --to \"2026-11-20 23:59:59\"", "give the time with --from and --to, by the terminal's clock, for example --from \"2026-11-20 00:00:00\" --to \"2026-11-20 23:59:59\"";
    CommandWould: "a {} (modo {}) se le mandaría: {}", "{} ({} mode) would be sent: {}";
    ConfigureElsewhere: "{} no es Hikvision: se configura en su propio menú o programa; vea {} devices show", "{} is not a Hikvision device: it is set in its own menu or program; see {} devices show";
    ConfigureNoAddress: "{} no tiene dirección, así que no se le puede escribir; escriba los datos a mano: {} devices add --tenant {} --vendor hikvision --serial {} --listen (o agregue --address, --user y --secret-file)", "{} has no address, so that it cannot be written to; type the settings by hand: {} devices add --tenant {} --vendor hikvision --serial {} --listen (or add --address, --user and --secret-file)";
    ConfigureNoHost: "escriba listen.public_url en la configuración: el dispositivo necesita saber a qué dirección enviar", "set listen.public_url in the configuration: the device has to know where to post";
    ConfigureUnreachable: "no se pudo hablar con el dispositivo en {}: {}; revise que esté encendido, dirección, puerto, VPN y cortafuegos", "the device at {} could not be talked to: {}; check power, address, port, VPN and firewall";
    ConfigureLogin: "el dispositivo rechazó el usuario o la contraseña; corrija el archivo y espere hasta {} antes de repetir, cada intento alarga el bloqueo", "the device refused user or password; correct the file and wait until {} before the next try, each one makes the lock longer";
    ConfigureLocked: "no se intentó: el dispositivo rechazó hace poco el usuario o la contraseña, y cada intento alarga el bloqueo; repita después de {}, o en cuanto haya corregido {}", "not tried: the device refused user or password a short while ago, and each try makes the lock longer; give the command again after {}, or as soon as you have corrected {}";
    ConfigureNobody: "el Programa Satélite que consulta a {} no contestó en dos minutos; vea si está en marcha y qué dice de él: {} devices show {}; luego repita", "the satellite that dials {} did not answer within two minutes; see whether it runs and what it says of it: {} devices show {}; then give the command again";
    ConfigureWrong: "en {} responde otro dispositivo ({}), no {}; no se le escribió nada: revise la dirección o la serie", "at {} another device ({}) answers, not {}; nothing was written: check address or serial";
    ConfigureBadHost: "listen.public_url no sirve para un dispositivo: {}", "listen.public_url cannot be set in a device: {}";
    ConfigureRefused: "el dispositivo no aceptó la configuración: {}; revise que la cuenta pueda configurar parámetros de red, o escriba los datos a mano: {} devices add --tenant {} --vendor hikvision --serial {} --listen", "the device refused the setting: {}; check that the account may configure the network, or type the settings by hand: {} devices add --tenant {} --vendor hikvision --serial {} --listen";
    HasOtherwise: "  {}: se pidió {}, quedó {}", "  {}: wanted {}, found {}";
    ConfigureDone: "{}: el dispositivo tiene la escucha HTTP configurada y lo confirmó al leerla; la URL anterior ya no sirve", "{}: the device has its HTTP listening set and confirmed it when read back; the URL before is void";
    ConfigureNot: "El dispositivo no conservó lo que se escribió. Aquí no se cambió nada. Escriba los datos a mano: {} devices add --tenant {} --vendor hikvision --serial {} --listen", "The device did not keep what was written. Nothing was changed here. Type the settings by hand: {} devices add --tenant {} --vendor hikvision --serial {} --listen";
    ConfigureNoPath: "CUIDADO: este modelo no conserva la ruta de la URL, así que sus envíos llegan sin clave y se rechazan. Sus eventos entran por la búsqueda; la escucha HTTP no sirve con este firmware.", "WARNING: this model does not keep the path of the URL, so that its posts come without their key and are refused. Its events come in through the search; HTTP listening is of no use with this firmware.";
    MeansProven: "cada número hasta el último está guardado o contado como perdido", "every number up to the newest is stored, or counted as gone";
    MeansSeen: "los huecos se ven, y están abiertos o no se pueden pedir", "gaps are seen, and are open or cannot be fetched";
    MeansUnproven: "el dispositivo no da con qué comprobarlo", "the device gives no means to tell";
    Replaying: "entrega primero registros viejos", "replaying old records first";
    IsLive: "en vivo", "live";
    OnlyStored: "el Programa Satélite no responde en {} ({}): se muestra lo guardado; lo que pasa ahora no se sabe.", "satellite does not answer at {} ({}): what is stored is shown; what happens now is not known.";
    NotNoticed: "El Programa Satélite en marcha todavía no conoce este dispositivo; lo nota en 10 segundos.", "The running satellite does not know this device yet; it notices within 10 seconds.";
    NoConditions: "Operación normal: sin avisos.", "No conditions: all is well.";
    ConditionLine: "! {} desde {}: {}", "! {} since {}: {}";
    AdviseDial: "El dispositivo todavía no ha contestado en {}. Revise que esté encendido, dirección y puerto, la VPN o la redirección de puertos, el cortafuegos, el usuario y el archivo de la contraseña. Para ver qué pasa: {} devices show {}", "The device has not answered at {} yet. Check power, address and port, the VPN or port forwarding, the firewall, the user and the password's file. To see what happens: {} devices show {}";
    AdvisePost: "Nunca ha llegado un envío con la URL de este dispositivo. Revise en Configuración → Red → Avanzada → Escucha HTTP que estén dirección, puerto, URL completa y protocolo HTTP; puerta de enlace y DNS; el cortafuegos. Si no conoce la URL, haga una nueva: {} devices add --tenant {} --vendor hikvision --serial {} --listen", "No post with this device's URL has ever come. Check in Configuration → Network → Advanced → HTTP Listening that address, port, the whole URL and protocol HTTP are set; gateway and DNS; the firewall. If the URL is not known, make a new one: {} devices add --tenant {} --vendor hikvision --serial {} --listen";
    AdviseNoWay: "No se ha dicho cómo llegan sus eventos: {} devices add --tenant {} --vendor hikvision --serial {} con --listen, o con --address, --user y --secret-file", "Nobody has said how its events come: {} devices add --tenant {} --vendor hikvision --serial {} with --listen, or with --address, --user and --secret-file";
    AdvisePull: "El reloj todavía no ha contestado en {}. Revise que esté encendido, dirección y puerto 4370, la VPN y el cortafuegos (TCP y UDP); que ningún otro programa (ZKTime, BioTime) lo tenga conectado; y la clave de comunicación en su menú. En modo servidor en la nube muchos no contestan. Para ver qué pasa: {} devices show {}", "The terminal has not answered at {} yet. Check power, address and port 4370, the VPN and the firewall (TCP and UDP); that no other program (ZKTime, BioTime) is connected to it; and the communication key in its menu. In cloud-server mode many do not answer. To see what happens: {} devices show {}";
    AdviseNoPunches: "Contesta y todavía no se ha leído su memoria, o está vacía. Haga una checada. Si no llega: {} devices show {}", "It answers, and its log has not been read yet or is empty. Make a punch. If it does not come: {} devices show {}";
    AdviseOther: "Quien contesta o envía no es el dispositivo dado de alta. Revise dirección y serie; cada dispositivo lleva su propia URL.", "Who answers or posts is not the enrolled device. Check address and serial; each device has its own URL.";
    AdviseNoEvents: "Hay contacto y todavía no hay eventos. Haga una checada. Si no llega: con escucha HTTP, reinicie el dispositivo y vuelva a guardar la configuración; con consulta, vea {} devices show {}", "There is contact and no event yet. Make a punch. If it does not come: with HTTP listening, restart the device and save the setting again; where it is dialled, see {} devices show {}";
    ImportRefused: "renglones con error: {}; no se dio de alta ninguno", "lines with mistakes: {}; none was enrolled";
    ImportWould: "sin errores; se darían de alta o actualizarían {} dispositivos", "no mistakes; {} terminals would be enrolled or updated";
    ImportDone: "dispositivos dados de alta o actualizados: {}", "terminals enrolled or updated: {}";
    ImportStopped: "se detuvo en el renglón {}: {} de {} quedaron dados de alta; puede repetirse el archivo completo", "stopped at line {}: {} of {} were enrolled; the whole file may be imported again";
    ImportNoHeader: "el primer renglón nombra las columnas, al menos serial; existen: {}", "the first line names the columns, at least serial; there are: {}";
    ImportColumn: "no hay columna '{}'; la más parecida es {}; existen: {}", "there is no column '{}'; the nearest is {}; there are: {}";
    ImportSerial: "la serie '{}' no sirve: {}", "the serial '{}' {}";
    ImportLong: "{} tiene más de {} caracteres", "{} is longer than {} characters";
    ImportTwice: "{} ya está en el renglón {}", "{} stands in line {} already";

    // Outputs.
    Output: "salida", "output";
    Lag: "rezago", "lag";
    Delivered: "entregados", "delivered";
    DeadLetters: "no entregables", "dead letters";
    NoOutputs: "No hay ninguna salida; se configuran con [[output]].", "There is no output; [[output]] in the configuration makes one.";
    UnknownOutput: "no hay ninguna salida '{}'; existen: {}", "there is no output '{}'; there are: {}";
    OutputPaused: "{}: en pausa. Los eventos se siguen guardando y esperan.", "{}: paused. Events are stored as before and wait.";
    OutputResumed: "{}: sigue donde se quedó.", "{}: goes on where it was.";
    OutputRewound: "{}: se entrega otra vez todo lo recibido desde {}. Lo repetido lleva el mismo event_uid.", "{}: everything that came since {} is delivered again. What is repeated has the same event_uid.";
    OutputRevives: "{}: se entregan otra vez los no entregables: {}", "{}: dead letters that are delivered again: {}";
    MappingLine: "mapeo {}: {} ({}), series: {}", "mapping {}: {} ({}), serials: {}";
    EverySerial: "todas las demás", "all others";
    EdgeReady: "salida {}: el Programa Satélite de la nube contesta y conoce el token: {}", "output {}: the satellite in the cloud answers and knows the token: {}";
    EdgeFails: "salida {}: no se puede entregar a la nube: {}: {}", "output {}: nothing can be delivered to the cloud: {}: {}";
    FolderReady: "salida {}: se puede escribir en la carpeta {}", "output {}: the folder {} can be written";
    FolderFails: "salida {}: la carpeta {} no sirve: {}", "output {}: the folder {} will not do: {}";
    TableReady: "salida {}: la tabla está lista: {}", "output {}: the table is ready: {}";
    TableFails: "salida {}: la tabla no sirve: {}: {}", "output {}: the table will not do: {}: {}";
    OutputBrokerReady: "salida {}: el broker nos deja entrar: {}", "output {}: the broker lets us in: {}";
    OutputBrokerFails: "salida {}: el broker no sirve: {}: {}", "output {}: the broker will not do: {}: {}";
    InputBrokerReady: "entrada {}: el broker nos deja entrar: {}", "input {}: the broker lets us in: {}";
    InputBrokerFails: "entrada {}: el broker no sirve: {}: {}", "input {}: the broker will not do: {}: {}";
    InputLine: "entrada {}: cliente {}, mqtt en {}, temas {}, emisor {}", "input {}: tenant {}, mqtt at {}, topics {}, sender {}";
    OutputLine: "salida {}: cliente {}, {} en {}", "output {}: tenant {}, {} at {}";

    // Exports, comparisons.
    Exported: "eventos escritos: {}", "events written: {}";
    Exporting: "{} eventos, hasta {}", "{} events, up to {}";
    BundleThere: "{} ya existe y no se escribe encima: indique otro archivo en --to", "{} exists and is not written over: name another file with --to";
    BundleProgress: "{} eventos", "{} events";
    BundleLines: "cliente {}: dispositivos {}, eventos {}, en revisión {}, renglones de auditoría {}", "tenant {}: terminals {}, events {}, in review {}, lines of the audit {}";
    BundleWritten: "{}, SHA-256 {}", "{}, SHA-256 {}";
    BundleSecrets: "No lleva contraseñas ni tokens: en la otra instalación indique las contraseñas de los equipos que se consultan (devices add … --secret-file) y dé token a los que envían (devices rotate-token).", "It holds no password and no token: over there, give the passwords of terminals that are dialled (devices add … --secret-file), and tokens to those that post (devices rotate-token).";
    BundleForeign: "{} no es un archivo de `satellite tenant export`; no se cambió nada. Revise que sea el archivo correcto y que haya llegado completo (compare su SHA-256 con el que se mostró al escribirlo)", "{} is no file of `satellite tenant export`; nothing was changed. See that it is the right file and came whole (compare its SHA-256 with the one shown when it was written)";
    BundleNewer: "{} lo escribió una versión más nueva (formato {}); no se cambió nada. Actualice el Programa Satélite y repita la orden", "{} was written by a newer version (form {}); nothing was changed. Update satellite and give the command again";
    BundleDamaged: "{} está dañado o alguien lo cambió: {}; no se importa. Cópielo de nuevo o pida otro (compare su SHA-256 con el que se mostró al escribirlo)", "{} is damaged or was changed: {}; it is not imported. Copy it again or ask for another (compare its SHA-256 with the one shown when it was written)";
    BundleNoTenant: "no hay cliente {} en la configuración; agregue [[tenant]] id = \"{}\", time_zone = \"{}\", o indique otro con --as. Hay: {}", "there is no tenant {} in the configuration; add [[tenant]] id = \"{}\", time_zone = \"{}\", or name another with --as. There are: {}";
    BundleSays: "Hecho el {} (UTC) con la versión {}; datos del cliente {}", "Made at {} (UTC) by version {}; data of the tenant {}";
    BundlePlan: "Para el cliente {}: dispositivos nuevos {}, que ya están {}, de los que aquí tienen otra alta {}", "For the tenant {}: terminals that are new {}, that are here {}, that have another enrolment here {}";
    BundleMapped: "{}: aquí ya tiene otra alta; sus eventos van a esa, con otro event_uid, y lo que ya envió no se repite", "{}: it has another enrolment here; its events go to that one, under another event_uid, and what it sent already is not repeated";
    BundleTaken: "{} {}: aquí es del cliente {}; no se cambió nada. Si el dispositivo ya es de {}: {} devices add --tenant {} --vendor {} --serial {}, y repita la orden", "{} {}: here it belongs to the tenant {}; nothing was changed. If the terminal is {}'s now: {} devices add --tenant {} --vendor {} --serial {}, and give the command again";
    BundleElsewhere: "el alta {} del archivo ya es aquí del cliente {}; no se cambió nada. Use --as con ese cliente", "the enrolment {} of the file belongs to the tenant {} here; nothing was changed. Use --as with that tenant";
    BundleNothingDone: "No se cambió nada. Para importar, la misma orden sin --dry-run", "Nothing was changed. To import it, the same command without --dry-run";
    BundleRefused: "la base de datos no lo recibió: {}. Lo que ya entró se queda; repita la misma orden y se completa sin duplicar", "the database did not take it: {}. What is in stays; give the same command again, which completes it without a duplicate";
    BundleImported: "{}: eventos nuevos {}, que ya estaban {}, en revisión {}", "{}: new events {}, that were there {}, in review {}";
    NoDay: "'{}' no es un día; escriba 2026-11-25", "'{}' is no day; write 2026-11-25";
    CannotWriteFile: "no se puede escribir {}: {}", "{} cannot be written: {}";
    CannotReadFile: "no se puede leer {}: {}", "{} cannot be read: {}";
    CompareNoColumn: "no se encontró la columna {}; el archivo tiene: {}. Indíquela con --person, --time, --date o --serial", "the column {} was not found; the file has: {}. Name it with --person, --time, --date or --serial";
    CompareNoTime: "renglón {}: '{}' no es fecha y hora; se leen 2026-11-25 09:00:03 y 25/11/2026 09:00:03", "line {}: '{}' is no date and time; 2026-11-25 09:00:03 and 25/11/2026 09:00:03 can be read";
    CompareBadLine: "renglón {}: {}", "line {}: {}";
    OnlyHere: "Solo aquí ({}):", "Only here ({}):";
    OnlyThere: "Solo en el archivo ({}):", "Only in the file ({}):";
    LineOfFile: "renglón", "line";
    AndMore: "… y {} más; --json los muestra todos", "… and {} more; --json shows all of them";
    Compared: "iguales: {}; solo aquí: {}; solo en el archivo: {}", "equal: {}; only here: {}; only in the file: {}";
    OtherDays: "renglones de otros días en el archivo: {}", "lines of other days in the file: {}";
    NoSerials: "El archivo no dice el dispositivo: se comparó persona y hora.", "The file does not name the terminals: person and time were compared.";
    ToTheMinute: "El archivo no lleva segundos: se comparó al minuto.", "The file has no seconds: minutes were compared.";

    // Events and quarantine.
    NoEvents: "Sin eventos en ese periodo.", "No events in that time.";
    MoreRows: "se muestran {} renglones y puede haber más; use --limit o --since", "{} rows are shown and there may be more; use --limit or --since";
    NothingInReview: "Nada en revisión.", "Nothing in quarantine.";
    ReviewNote: "En revisión: se guardó y se confirmó, no se pudo interpretar. Un renglón: {} quarantine show NÚMERO", "Quarantined: stored and acknowledged, could not be read. One of them: {} quarantine show ID";
    SeveralOfNumber: "varias bases de datos tienen el número {}; indique --tenant", "several databases have number {}; say which with --tenant";
    NoneOfNumber: "no hay nada en revisión con el número {}", "there is nothing in quarantine with number {}";
    SettledBefore: "el número {} ya está resuelto", "number {} is settled already";
    ReplaySettled: "resuelto: ya está entre los eventos", "settled: it is among the events";
    ReplayBefore: "resuelto: es anterior al alta del dispositivo y no se guarda", "settled: older than its terminal's enrolment accepts, not stored";
    ReplayNothing: "resuelto: ya se entiende y no tiene nada que guardar", "settled: understood now, with nothing in it to keep";
    ReplayUnreadable: "sigue en revisión: todavía no se puede interpretar", "stays: still cannot be read";
    ReplayAside: "sigue en revisión: hay otra checada de la misma persona y segundo", "stays: another punch has its person and second";
    ReplayNoTerminal: "sigue en revisión: su dispositivo ya no está dado de alta así", "stays: the enrolment it came through has ended";
    ReplayRefused: "el número {} no se pudo guardar: {}", "number {} could not be stored: {}";
    ReplayDone: "resueltos: {}; siguen en revisión: {}", "settled: {}; still in quarantine: {}";

    // Backfill.
    CannotAskOther: "a {} no se le puede pedir: es de otra marca y solo envía. Que quien envía repita ese tiempo; lo que ya estaba no se duplica", "{} cannot be asked: it is of another make and only sends. Let its sender repeat that time; what was there is not doubled";
    CannotAskAgain: "a {} no se le consulta: solo envía. Dele también su dirección (--address) y se le puede volver a pedir", "{} is not dialled: it only sends. Give its address too (--address) and it can be asked again";
    WindowIsNone: "el horario no sirve: de {} a {}", "that is no window: {} to {}";
    BackfillQueued: "trabajo {} anotado; lo hace un Programa Satélite en marcha que hable con el dispositivo. Lo guardado se ve con {} events", "job {} was noted; a running satellite that talks to the terminal does it. What was stored shows in {} events";
    BackfillProgress: "guardado hasta {} UTC: {} registros, {} nuevos", "stored up to {} UTC: {} records, {} new";
    BackfillWaits: "ningún Programa Satélite habla ahora con el dispositivo; el trabajo espera hasta {}. Vea por qué: satellite trace", "no satellite talks to the terminal now; the job waits until {}. See why: satellite trace";
    BackfillNobody: "el Programa Satélite no responde en {} ({}); el trabajo espera hasta {} a que haya uno en marcha que hable con el dispositivo", "satellite does not answer at {} ({}); the job waits until {} for one that talks to the terminal";
    BackfillDone: "{}: llegaron {} registros, {} no estaban", "{}: {} records came, {} of them were not stored before";
    BackfillFailed: "{}: no se completó: {}", "{}: not completed: {}";
    BackfillExpired: "se acabó su tiempo antes de terminar", "its time ran out before it was done";

    // Recordings.
    RecordQueued: "grabación {} anotada: {} minutos desde que el dispositivo hable con un Programa Satélite en marcha; Ctrl-C no la detiene", "recording {} was noted: {} minutes from when the terminal speaks to a running satellite; Ctrl-C does not stop it";
    RecordNotPush: "{} no se puede grabar: solo los ZKTeco", "{} cannot be recorded: only ZKTeco terminals can";
    RecordWaits: "el dispositivo no ha hablado en los últimos cinco minutos con ningún Programa Satélite en marcha; se espera hasta {}. Vea por qué: {} trace {}", "the terminal has not spoken to a running satellite within five minutes; this waits until {}. See why: {} trace {}";
    RecordExpired: "el dispositivo no habló a tiempo con ningún Programa Satélite en marcha; vea por qué: {} trace {}", "the terminal did not speak to a running satellite in time; see why: {} trace {}";
    RecordFailed: "{}: no se grabó: {}", "{}: not recorded: {}";
    RecordDone: "{} mensajes grabados, {} no cupieron: {}", "{} messages recorded, {} found no room: {}";
    RecordCut: "el archivo llegó a su tamaño máximo antes de tiempo", "the file reached its largest size before its time";

    // Cut-off.
    CutoffTitle: "Corte de nómina de {}: del {} al {} ({})", "Payroll cut-off of {}: {} to {} ({})";
    CutoffComplete: "COMPLETO", "COMPLETE";
    CutoffPartial: "PARCIAL", "PARTIAL";
    CutoffSentence: "{} checadas, {} de {} relojes completos hasta las {}, {} huecos, {} llegaron tarde, {} en revisión", "{} punches, {} of {} terminals complete up to {}, {} gaps, {} came late, {} in quarantine";
    CutoffUndated: ", {} sin hora confiable", ", {} without a time to be relied on";
    CutoffTotal: "TOTAL", "TOTAL";
    CutoffInFuture: "el periodo todavía no termina (termina el {}); indique un día que ya pasó, o una hora de hoy que ya pasó", "the period has not ended yet (it ends at {}); name a day that is over, or an hour of today that has passed";
    CutoffBackwards: "el periodo termina antes de empezar: {} a {}", "the period ends before it begins: {} to {}";
    VerdictComplete: "completo", "complete";
    VerdictUnproven: "sin comprobar", "unproven";
    VerdictMissing: "falta", "missing";
    VerdictLost: "no recuperable", "lost";
    VerdictWithdrawn: "dado de baja", "withdrawn";
    UnprovenMeans: "se conectó después del corte y no se sabe que falte nada, pero no da con qué comprobarlo", "it was heard after the cut-off and nothing is known to be missing, but it gives no means to prove that";
    WithdrawnMeans: "tiene checadas en el periodo y ya no está dado de alta: no se le puede preguntar", "it has punches in the period and is not enrolled any more: it cannot be asked";
    ReviewMeans: "en revisión: {}; vea {} quarantine list --serial {}", "in quarantine: {}; see {} quarantine list --serial {}";
    UndatedMeans: "{} checadas llegaron de un reloj con fecha imposible", "{} punches came from a clock with an impossible date";
    WindowCounts: " (el dispositivo dice {}, hay {})", " (the terminal says {}, stored are {})";
    WindowCount: " ({} registros)", " ({} records)";
    WhyNoContact: "sin contacto desde entonces; lo entrega solo al reconectarse. Revise corriente y red del dispositivo", "no contact since then; it delivers by itself when it comes back. Check the terminal's power and network";
    WhyUnreachable: "no se le puede alcanzar; se le pregunta en cuanto conteste. Revise corriente, red y VPN", "it cannot be reached; it is asked as soon as it answers. Check power, network and VPN";
    WhyNeverHeard: "nunca se ha conectado", "it has never been heard";
    WhyNotAsked: "se le está preguntando; repita en unos minutos", "it is being asked; try again in a few minutes";
    WhyFetching: "se está recuperando; repita en unos minutos", "it is being fetched; try again in a few minutes";
    WhyStuck: "se volvió a pedir y no llegó completo. Revise el dispositivo y repita: {} backfill {} --from \"{}\" --to \"{}\"", "it was asked for again and did not come whole. Look at the terminal and repeat: {} backfill {} --from \"{}\" --to \"{}\"";
    WhyLost: "el dispositivo ya no lo conserva: no se puede recuperar", "the terminal no longer holds it: it cannot be fetched";
    WhyCannotAsk: "faltan números y no se le puede preguntar; expórtelo del dispositivo o dé su dirección", "numbers are missing and it cannot be asked; export its records or give its address";
    SignHere: "Nombre, firma y fecha: ______________________________", "Name, signature and date: ______________________________";
    LanguageCode: "es", "en";

    // Trace.
    StepReached: "llegó", "reached";
    StepIdentified: "se identificó", "identified";
    StepApproved: "está aprobado", "approved";
    StepParsed: "se interpretó", "parsed";
    StepStored: "se guardó", "stored";
    NotRunning: "el Programa Satélite no responde en {} ({}); se contesta con las bases de datos", "satellite does not answer at {} ({}); answering from the databases";
    EnrolledFor: "cliente {}, {}", "tenant {}, {}";
    NotEnrolled: "no está dado de alta", "not enrolled";
    InReviewCount: "en revisión: {}", "in quarantine: {}";
    FirstRed: "Se detiene en: {}", "It stops at: {}";
    AllGreen: "Operación normal. Si aun así falta algo: {} events --since 2000-01-01 --serial {}", "All steps are green. If something is missing all the same: {} events --since 2000-01-01 --serial {}";
    AdviseReach: "Nunca ha llegado una petición de este dispositivo. Revise dirección y puerto, \"Habilitar nombre de dominio\", red, DNS y cortafuegos, que la serie esté bien escrita, y reinicie el dispositivo después del cambio.", "No request of this terminal has ever come. Check server address and port, the domain-name switch, network, DNS and firewall, that the serial is spelled right, and restart the terminal after a change.";
    AdviseIdentify: "Llega sin número de serie: un proxy quita los parámetros de la dirección, o hay que actualizar el firmware.", "It comes without a serial number: a proxy drops the query, or the firmware needs an update.";
    AdviseApprove: "Falta aprobarlo; mientras tanto conserva sus registros: {} devices approve {} --tenant {}", "It has to be approved; until then it keeps its records: {} devices approve {} --tenant {}";
    AdviseBlocked: "Está bloqueado (blocked) y conserva sus registros. Para admitirlo: {} devices approve {}", "It is blocked and keeps its records. To let it in: {} devices approve {}";
    AdviseParse: "Sus registros se guardaron y no se pudieron interpretar: {} quarantine list --serial {}", "Its records were stored and could not be read: {} quarantine list --serial {}";
    AdviseRefused: "Lo que envió no se pudo recibir, por lo que dice el paso; el dispositivo conserva sus registros y los envía de nuevo. Si se repite, revise la red y los proxys entre los dos y limits.body en la configuración.", "What it sent could not be taken, for what the step says; the terminal keeps its records and sends them again. If it repeats, look at the network and proxies in between, and at limits.body in the configuration.";
    AdviseNothing: "Está conectado y no ha enviado registros. Haga una checada; si no llega, revise que el tipo de dispositivo sea T&A PUSH o A&C PUSH y que el envío en tiempo real esté encendido.", "It is connected and has sent no records yet. Make a punch; if nothing comes, check that the device type is T&A PUSH or A&C PUSH and that upload in real time is on.";
    AdviseStore: "La base de datos de sus eventos tiene un problema; los dispositivos conservan sus registros y los entregan solos al terminar. Vea: {} check --connect", "The database of its events is in trouble; terminals keep their records and deliver them by themselves afterwards. See: {} check --connect";
    AdviseWait: "Todavía no ha llegado hasta aquí.", "It has not come this far yet.";

    // Demo.
    DemoBegins: "Demostración: {} dispositivos simulados, con las mañas de los reales. Carpeta: {}", "Demo: {} simulated terminals with the habits of real ones. Folder: {}";
    DemoLook: "Para ver más, en otra ventana:", "To look further, in another window:";
    DemoTotals:
        "eventos guardados {} ({}/s) · dispositivos {} · confirmados {} · por entregar {}\nrepetidos absorbidos {} · confirmación p50 {} p99 {}",
        "events committed {} ({}/s) · terminals {} · acked {} · held {}\nduplicates folded {} · ack p50 {} p99 {}";
    ProofHolds:
        "\nComprobado con otra conexión: {} registros confirmados, {} checadas distintas, {} en event_feed exactamente una vez ({} faltan, {} repetidas).\n",
        "\nVerified over a second connection: {} records acknowledged, {} different punches, {} in event_feed exactly once ({} missing, {} doubled).\n";
    ProofFails:
        "\nNO COINCIDE: {} registros confirmados, {} checadas distintas, {} en event_feed exactamente una vez, {} faltan, {} repetidas.\n",
        "\nDOES NOT MATCH: {} records acknowledged, {} different punches, {} in event_feed exactly once, {} missing, {} doubled.\n";
    DemoEnds:
        "\nTodo quedó en {}\n  {}\n  {}\nSiguiente paso: {} run, y README.md para dar de alta un dispositivo real.\n",
        "\nEverything stays in {}\n  {}\n  {}\nNext: {} run, and README.md to connect a real terminal.\n";
}

/// Fails where a text lacks a language, or a place in one of them.
#[cfg(test)]
pub(crate) fn have_the_same_places<T>(all: &[T])
where
    T: Bilingual + Copy + std::fmt::Debug,
{
    for text in all {
        let (es, en) = (*text).texts();
        assert!(!es.is_empty() && !en.is_empty(), "{text:?}");
        assert_eq!(
            es.matches("{}").count(),
            en.matches("{}").count(),
            "{text:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_both_languages_with_the_same_places() {
        have_the_same_places(Word::ALL);
    }

    #[test]
    fn the_spanish_texts_keep_the_words_of_the_field() {
        for word in Word::ALL {
            let (es, _) = word.texts();
            let lower = es.to_lowercase();
            for wrong in ["inquilino", "cuarentena", "fichaje", "atasco", "centinela"] {
                assert!(!lower.contains(wrong), "{word:?}: {es}");
            }
            // An incident is acknowledged with "enterado"; a record is confirmed.
            assert!(!lower.contains("enterado"), "{word:?}: {es}");
            assert!(!lower.contains("satellite en marcha"), "{word:?}: {es}");
            assert!(!lower.contains("satellite no responde"), "{word:?}: {es}");
        }
        assert_eq!(Lang::Es.say(Word::InReview, &[]), "en revisión");
        assert_eq!(Lang::Es.say(Word::Tenant, &[]), "cliente");
    }

    #[test]
    fn places_are_filled_in_order_and_values_are_not_read_as_texts() {
        let text = Lang::En.say(Word::Moved, &[&"A{}1", &"acme", &"beta"]);
        assert_eq!(
            text,
            "A{}1: moves from tenant acme to tenant beta; a new history begins"
        );
    }
}
