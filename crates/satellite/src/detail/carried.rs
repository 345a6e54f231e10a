//! Why events do not reach a receiver (`outputs`), in Spanish beside the English.
//!
//! As in [`others`](super::others): the English is made where it belongs, in the senders, in
//! `fetch`, `mqtt` and `store`, and tests make every value of their types and look it up here. The
//! words of a server stay as they are.

/// Spanish and English; `{}` are values.
pub(super) const CARRIED: &[(&str, &str)] = &[
    (
        "no se puede escribir en la carpeta: {}",
        "the folder cannot be written: {}",
    ),
    // Any receiver over HTTP (`fetch::Failed`, `course::judge`).
    (
        "{}: no se siguen redirecciones",
        "{}: redirects are not followed",
    ),
    ("no se encontró el nombre: {}", "the name was not found: {}"),
    ("el nombre no tiene dirección", "the name has no address"),
    (
        "el nombre lleva a una dirección interna, y no está permitido: {}",
        "the name leads to an inner address, which is not allowed: {}",
    ),
    ("falló el cifrado (TLS): {}", "TLS: {}"),
    (
        "su certificado no es válido: {}",
        "invalid peer certificate: {}",
    ),
    ("no es un certificado: {}", "not a certificate: {}"),
    ("la respuesta no es HTTP: {}", "no HTTP answer: {}"),
    (
        "sin respuesta en {} s, al buscar el nombre",
        "no answer within {} s (name)",
    ),
    (
        "sin respuesta en {} s, al conectar",
        "no answer within {} s (connect)",
    ),
    (
        "sin respuesta en {} s, al cifrar (TLS)",
        "no answer within {} s (tls)",
    ),
    (
        "aceptó la conexión y no contestó en {} s",
        "no answer within {} s (answer)",
    ),
    // What the system says of an address.
    (
        "sin conexión: {} la rechaza, nada escucha ahí",
        "no connection: {}: Connection refused (os error 111)",
    ),
    (
        "sin conexión: {} la cortó",
        "no connection: {}: Connection reset by peer (os error 104)",
    ),
    (
        "sin conexión: con {} se acabó el tiempo",
        "no connection: {}: Connection timed out (os error 110)",
    ),
    (
        "sin conexión: no hay ruta hasta {}",
        "no connection: {}: No route to host (os error 113)",
    ),
    (
        "sin conexión: no se alcanza la red de {}",
        "no connection: {}: Network is unreachable (os error 101)",
    ),
    // An older receiver of terminals (`forward`).
    ("se interrumpió un envío", "an upload was broken off"),
    // A broker (`mqtt::Failed`).
    (
        "el broker rechaza la conexión: {}",
        "the broker refuses the connection: {}",
    ),
    (
        "se cortó la conexión con el broker: {}",
        "the connection to the broker broke: {}",
    ),
    (
        "el broker no nos deja escuchar un tema",
        "the broker refuses a subscription",
    ),
    (
        "el broker no contesta en {} s",
        "no answer of the broker within {} s",
    ),
    ("usuario o contraseña equivocados", "BadUserNamePassword"),
    ("sin autorización", "NotAuthorized"),
    ("no da servicio ahora", "ServiceUnavailable"),
    ("no acepta este nombre de cliente", "BadClientId"),
    ("no habla esta versión de MQTT", "RefusedProtocolVersion"),
    // A table of the client's (`table`, `store::table`).
    (
        "columna {}: sus códigos no tienen ninguno para este evento",
        "column {}: its codes have none for this event",
    ),
    (
        "la columna {} de la tabla {} no tiene una llave única propia",
        "column {} of table {} has no unique key of its own",
    ),
    ("registros sin nombre", "rows without a name"),
    ("{}, columna {}", "{} for column {}"),
    ("{}, llave {}", "{} for key {}"),
    (
        "{}: otra llave única ya tiene ese valor",
        "{}: another unique key has this value",
    ),
    (
        "{}: una llave foránea no lleva a ningún registro",
        "{}: a foreign key leads nowhere",
    ),
    ("{}: fuera de rango", "{}: out of range"),
    ("{}: demasiado largo", "{}: too long"),
    ("{}: no se permite NULL", "{}: NULL is not allowed"),
    (
        "{}: no es del tipo de la columna",
        "{}: not of the column's type",
    ),
    ("{}: no hay partición para él", "{}: no partition for it"),
    ("{}: no cumple un CHECK", "{}: a CHECK does not hold"),
    ("{}: lo rechaza un trigger", "{}: a trigger refuses it"),
    (
        "{}: más largo que max_allowed_packet",
        "{}: longer than max_allowed_packet",
    ),
];
