//! What `doctor` says, in Spanish and in English. The commands that mend need no translation.

use crate::cli::words::texts;

texts! {
    Says;

    Good: "bien", "good";
    Care: "atención", "care";
    Bad: "mal", "bad";
    Sum: "bien: {}, atención: {}, mal: {}", "good: {}, care: {}, bad: {}";

    // The service.
    Answers: "el Programa Satélite {} atiende desde hace {} en {}", "satellite {} has answered for {} at {}";
    Silent: "el Programa Satélite no contesta en {}: {}", "satellite does not answer at {}: {}";
    OtherVersion: "está en marcha la versión {} y esta es la {}", "version {} runs, and this is {}";
    WorkWaits: "hay trabajo que espera y no avanza: {}", "work waits and nothing moves: {}";
    StoreRefuses: "la base de datos {} no recibe: {}", "the database {} takes nothing: {}";
    Conditions: "dispositivos con alguna condición: {}; {}", "devices with a condition: {}; {}";
    Pending: "dispositivos que esperan aprobación: {}", "devices that wait for approval: {}";
    JournalWaits: "eventos que esperan en el disco a que vuelva su base de datos: {}", "events that wait on disk for their database: {}";
    Faults: "fallas propias desde que arrancó: {}", "faults of its own since it started: {}";
    OutputIll: "la salida {} no entrega ({}): {}", "the output {} does not deliver ({}): {}";
    InputIll: "la entrada {} no recibe ({}): {}", "the input {} takes nothing in ({}): {}";
    EdgeByCommand: "es un equipo remoto solo por la orden con que arrancó; con to y token_file en [edge] se revisa también su nube", "it is an edge by its command line alone; with to and token_file under [edge] its cloud is looked at too";
    EdgeBehind: "la nube no tiene lo que el equipo remoto recibió hace {}", "the cloud lacks what the edge took in {} ago";
    EdgeFollows: "la nube tiene todo menos los últimos {} s", "the cloud has everything but the last {} s";
    UnitRuns: "systemd lo arranca con el servidor y lo vigila", "systemd starts it with the machine and watches it";
    UnitDisabled: "systemd no lo arranca con el servidor", "systemd does not start it with the machine";
    UnitUnwatched: "systemd no lo vigila: le falta WatchdogSec", "systemd does not watch it: WatchdogSec is missing";
    UnitRestarted: "systemd lo volvió a arrancar {} veces", "systemd has started it again {} times";
    NoUnit: "no es un servicio de systemd: si se cae, nadie lo levanta", "it is no service of systemd: when it falls, nobody starts it";

    // Its doors.
    DoorOpen: "hay quien atienda a los dispositivos en {}", "somebody opens to terminals at {}";
    DoorShut: "nadie atiende a los dispositivos en {}: {}", "nobody opens to terminals at {}: {}";
    PublicShut: "desde este servidor no se alcanza la dirección pública {}: {}; pruébela también desde otra red", "the public address {} is not reached from this machine: {}; try it from another network too";

    // The machine.
    Room: "{} % libre en el disco de {}", "{} % free on the disk of {}";
    NoFolder: "no existe la carpeta {}", "there is no folder {}";
    OpenFolder: "cualquier usuario del servidor puede leer {}", "every user of the machine may read {}";
    ClosedFolder: "{} solo la lee el servicio", "{} is read by the service only";
    ClockRight: "el reloj del servidor está sincronizado", "the machine's clock is synchronised";
    ClockWrong: "el reloj del servidor no está sincronizado; los dispositivos no reciben la hora", "the machine's clock is not synchronised; terminals are not given the time";

    // The configuration.
    Read: "es correcta: {}", "is right: {}";
    BuiltIn: "no hay archivo; valen los valores de fábrica", "there is no file; the built-in values hold";
    AcceptsAll: "da de alta a cualquier dispositivo que toque la puerta (enrolment.unknown = \"accept\")", "enrols whatever knocks (enrolment.unknown = \"accept\")";
    NobodyWatches: "si Sentinela calla, nadie lo nota (falta [sentinel_guard])", "when sentinel is silent nobody notices ([sentinel_guard] is missing)";
    AdminOpen: "la puerta de operación atiende en {}, también desde fuera", "the operators' door listens at {}, also from outside";
    NoPublicUrl: "no sabe su dirección pública (listen.public_url); los ajustes que imprime la dejan en blanco", "it does not know its public address (listen.public_url); the settings it prints leave it out";

    CertificateEnds: "el certificado de la puerta con TLS vence el {}", "the certificate of the door behind TLS ends on {}";
    CertificateEnded: "el certificado de la puerta con TLS venció el {}", "the certificate of the door behind TLS ended on {}";
    CertificateBad: "el certificado de la puerta con TLS no sirve: {}", "the certificate of the door behind TLS does not serve: {}";

    // The other sides.
    CloudKnowsUs: "el Programa Satélite de la nube contesta y conoce el token: {}", "the satellite in the cloud answers and knows the token: {}";
    TokenUnknown: "en la nube {} no conocen el token, o no es de un equipo remoto; pida uno nuevo allá y escríbalo en su archivo", "the token is not known at {}, or is no edge's; ask for another one there and write it into its file";
    CloudAway: "no se puede entregar a la nube {}: {}", "nothing can be delivered to the cloud {}: {}";
    CloudCertificateEnds: "el certificado de {} vence el {}", "the certificate of {} ends on {}";
    CloudClockOff: "el reloj de {} difiere {} s del de este equipo", "the clock of {} is {} s off this machine's";
    BrokerLetsUsIn: "el broker nos deja entrar: {}", "the broker lets us in: {}";
    BrokerAway: "el broker no sirve: {}: {}", "the broker will not do: {}: {}";

    // The copies.
    NoCopies: "no se hace ninguna copia de las bases de datos (falta [backup]); vea copias-de-seguridad.md", "no copy of the databases is made ([backup] is missing); see OPERATIONS.md";
    ProgramMissing: "sin el programa {} no se hace ninguna copia", "without the program {} no copy is made";
    CopiesLie: "{} se lee; bases con copia: {}", "{} can be read; databases with a copy: {}";
    PlaceAway: "{}: {}", "{}: {}";
    OnePlace: "las copias están en un solo lugar: si se pierde el servidor, se pierden con él (falta backup.second)", "copies lie in one place: whoever loses the machine loses them too (backup.second is missing)";
    BoardUnread: "no se sabe cómo terminaron las copias: {}", "how copies ended is not known: {}";
    CopyFailed: "{}: la última copia o su comprobación falló: {}", "{}: the last copy or its proof failed: {}";
    NeverCopied: "{}: nunca se ha hecho una copia", "{}: no copy was ever made";
    CopyOld: "{}: la última copia es de hace {}, y se promete una cada {}", "{}: the newest copy is {} old, and one is promised every {}";
    CopyYoung: "{}: la última copia es de hace {}", "{}: the newest copy is {} old";
    NeverProven: "{}: ninguna copia se ha comprobado restaurándola", "{}: no copy was ever proven by restoring it";

    // A database.
    Ready: "{}, con sus tablas al día: {}", "{}, its tables up to date: {}";
    Needed: "{} (se necesita {} o posterior)", "{} ({} or later is needed)";
    Behind: "sus tablas no están al día: {}", "its tables are not up to date: {}";
    Trouble: "{}: {}: {}", "{}: {}: {}";
    TooOld: "{} es demasiado antiguo", "{} is too old";
    ReadOnly: "no acepta cambios (read_only)", "it takes no changes (read_only)";
    Setting: "{} = {}: un corte de corriente pierde checadas confirmadas, o se rechazan; debe ser {}", "{} = {}: a power cut loses confirmed punches, or they are refused; it should be {}";
    Durable: "conserva lo confirmado aunque se corte la corriente", "it keeps what was confirmed through a power cut";
    Denied: "este usuario no puede cambiar: {}", "this user may not change: {}";
    Almighty: "este usuario puede todo en todo el servidor; basta con su base de datos", "this user may do everything on the whole server; its database is enough";
    ClockOff: "su reloj difiere {} s del de este servidor", "its clock is {} s off this machine's";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::words::have_the_same_places;

    #[test]
    fn every_text_has_both_languages_with_the_same_places() {
        have_the_same_places(Says::ALL);
    }
}
