//! What others say about a record, a connection or a secret, in Spanish beside the English.
//!
//! The English is made where it belongs: in the protocol crates, the store, the shell and the
//! system. Tests make every value of their types and look it up here; words of the system and of
//! the HTTP library stand here as far as operators meet them, and stay English where they do not.

/// Spanish and English; `{}` are values.
pub(super) const OTHERS: &[(&str, &str)] = &[
    // The file of a tenant that goes (`bundle`).
    ("falta su final", "its end is missing"),
    (
        "algo sigue después de su final",
        "something follows its end",
    ),
    (
        "algo sigue después de su manifiesto",
        "something follows its manifest",
    ),
    ("{} no es un archivo común", "{} is no file"),
    ("{} mide {} bytes, demasiados", "{} has {} bytes, too many"),
    ("{} termina antes de tiempo", "{} ends too early"),
    ("{} no se espera ahí", "{} is not expected there"),
    (
        "{} no es como dice su manifiesto",
        "{} is not as its manifest says",
    ),
    ("{} cambió mientras se leía", "{} changed while it was read"),
    ("{}, renglón {}: {}", "{}, line {}: {}"),
    (
        "no dice lo que debería, o es de un dispositivo que el archivo no tiene",
        "it does not say what it should, or is of no terminal of the bundle",
    ),
    ("un dispositivo dos veces", "a terminal twice"),
    ("no es un dispositivo", "no terminal"),
    // Records of other makes (`other_makes`).
    ("no es JSON que se pueda leer", "no JSON that could be read"),
    ("letras que no son UTF-8", "letters that are not UTF-8"),
    (
        "al encabezado le falta una columna del mapeo",
        "the header lacks a column of the mapping",
    ),
    (
        "otro número de columnas que el encabezado",
        "another number of columns than the header",
    ),
    (
        "el registro no tiene hora donde dice el mapeo",
        "the record has no time where the mapping says",
    ),
    (
        "una hora que no tiene el formato del mapeo, o que no existe en el calendario",
        "a time that is not of the mapping's format, or of no calendar",
    ),
    (
        "una checada sin persona y sin tarjeta",
        "a punch without person and card",
    ),
    (
        "un campo del mapeo trae un objeto o una lista",
        "a mapped field holds an object or a list",
    ),
    (
        "un campo del mapeo es más largo que el de cualquier equipo",
        "a mapped field is longer than any terminal's",
    ),
    (
        "una serie con caracteres que no son letras, dígitos, '-' ni '_'",
        "a serial with other characters than letters, digits, '-' and '_'",
    ),
    (
        "de un dispositivo que no está aprobado para este cliente",
        "of a terminal that is not approved for this tenant",
    ),
    (
        "no es satellite.records/1, y ningún [[mapping]] de la configuración es para quien lo envía",
        "no satellite.records/1, and no [[mapping]] of the configuration is for this sender",
    ),
    (
        "uno de muchos que no se pudieron leer",
        "one of many that could not be read",
    ),
    (
        "el registro no dice en `event` qué pasó",
        "the record does not say in `event` what happened",
    ),
    (
        "el registro nombra a otro dispositivo que su tema",
        "the record names another terminal than its topic",
    ),
    (
        "un tema que la configuración no nombra",
        "a topic that the configuration does not name",
    ),
    (
        "el principio de un mensaje de más de 128 KiB",
        "the beginning of a message of more than 128 KiB",
    ),
    (
        "el Programa Satélite falló con este mensaje; vea su bitácora",
        "satellite failed at this message; see its log",
    ),
    // A connection that does not open or breaks (`dial::socket`, the system, hyper).
    ("no contesta en {} s", "it does not answer within {} s"),
    (
        "rechaza la conexión: nada escucha ahí",
        "the connection is refused",
    ),
    ("sin conexión: {}", "no connection: {}"),
    ("sin respuesta en {} s", "no answer within {} s"),
    (
        "pide iniciar sesión de un modo que aquí no se habla; active Digest en su autenticación web",
        "it asks for a login in a way that is not spoken here; switch Digest on in its web authentication",
    ),
    (
        "una respuesta de más de {} bytes",
        "an answer of more than {} bytes",
    ),
    (
        "rechaza la conexión: nada escucha ahí",
        "Connection refused (os error 111)",
    ),
    (
        "el otro lado cortó la conexión",
        "Connection reset by peer (os error 104)",
    ),
    (
        "se acabó el tiempo de la conexión",
        "Connection timed out (os error 110)",
    ),
    ("no hay ruta hasta ahí", "No route to host (os error 113)"),
    (
        "no se alcanza esa red",
        "Network is unreachable (os error 101)",
    ),
    (
        "el otro lado cerró la conexión",
        "Broken pipe (os error 32)",
    ),
    ("no existe", "No such file or directory (os error 2)"),
    ("sin permiso", "Permission denied (os error 13)"),
    ("se acabó el tiempo", "timed out"),
    (
        "no se encuentra ese nombre: {}",
        "failed to lookup address information: {}",
    ),
    ("nombre desconocido", "Name or service not known"),
    ("el DNS no contesta", "Temporary failure in name resolution"),
    ("terminó antes de tiempo", "unexpected end of file"),
    ("terminó antes de tiempo", "early eof"),
    (
        "el otro lado cerró la conexión",
        "connection closed before message completed",
    ),
    ("la respuesta no es HTTP", "the answer is not HTTP"),
    // A database that does not answer (sqlx), and what a server says first of a refused user.
    (
        "error al hablar con la base de datos: {}",
        "error communicating with database: {}",
    ),
    (
        "{}: el servidor rechaza al usuario {} (contraseña enviada: {})",
        "{}: Access denied for user {} (using password: {})",
    ),
    // Where a Hikvision device shall post (`hikvision_isapi::BadHost`).
    ("los lugares se cuentan desde 1", "slots count from 1"),
    (
        "el servidor es una dirección IP o un nombre de letras, números, '-' y '.'",
        "the host must be an IP address or a name of letters, digits, '-' and '.'",
    ),
    (
        "la ruta empieza con '/' y tiene a lo más 128 caracteres visibles",
        "the path must begin with '/' and have at most 128 printable characters",
    ),
    ("el puerto no puede ser 0", "the port must not be 0"),
    // The file with a secret (`daemon::config`).
    (
        "{}: el archivo de la contraseña no existe",
        "{}: the secret's file does not exist",
    ),
    (
        "{}: una contraseña se nombra con una ruta absoluta o con un nombre de archivo sin ruta",
        "{}: a secret is named by an absolute path or by a bare file name",
    ),
    (
        "{}: no hay ninguna contraseña con este nombre; se buscó en {}",
        "{}: no secret of this name was found; looked in {}",
    ),
    (
        "{}: la contraseña no se puede leer: {}",
        "{}: the secret cannot be read: {}",
    ),
    (
        "{}: la contraseña no se puede leer: {}; su grupo debe ser el del servicio y poder leerla (0640)",
        "{}: the secret cannot be read: {}; its group must be that of the service and able to read it (0640)",
    ),
    (
        "{}: la contraseña no está en un archivo normal",
        "{}: the secret is not a regular file",
    ),
    (
        "{}: cualquiera en este equipo puede leer o cambiar esta contraseña; ejecute: chmod o-rwx {}",
        "{}: everybody on this machine can read or change this secret; run: chmod o-rwx {}",
    ),
    (
        "{}: la contraseña pasa de 64 KiB",
        "{}: the secret is larger than 64 KiB",
    ),
    (
        "{}: el archivo de la contraseña está vacío",
        "{}: the secret is empty",
    ),
    (
        "{}: la contraseña no es texto",
        "{}: the secret is not text",
    ),
    (
        "el usuario tiene de 1 a 64 bytes y ningún carácter de control",
        "a user name has 1 to 64 bytes and no control characters",
    ),
    // The answer to a search (`hikvision_isapi::SearchError`).
    (
        "la respuesta es más larga de lo que puede ser una página",
        "the answer is longer than a page can be",
    ),
    (
        "la respuesta no es una página de una búsqueda",
        "the answer is no page of a search",
    ),
    (
        "el dispositivo rechazó la búsqueda: {} {}",
        "the device refused the search: {} {}",
    ),
    // What ends a session on port 4370 (`zkteco_pull::Error`).
    (
        "los bytes del dispositivo no se pueden leer: {}",
        "the terminal's bytes cannot be read: {}",
    ),
    (
        "pide el protocolo cifrado del firmware nuevo",
        "the terminal demands the encrypted protocol of new firmware",
    ),
    (
        "es un panel de acceso C3 o inBio, no un reloj checador",
        "this is a C3 or inBio access panel, not a terminal",
    ),
    (
        "no empieza con la marca 50 50 82 7D",
        "the frame does not begin with the magic 50 50 82 7D",
    ),
    (
        "anuncia un paquete de {} bytes; solo el encabezado tiene 8",
        "a packet of {} bytes is announced, the header alone has 8",
    ),
    (
        "anuncia un paquete de {} bytes; se aceptan {} a lo más",
        "a packet of {} bytes is announced, at most {} are accepted",
    ),
    (
        "un paquete trae mal su suma de control",
        "a packet has a wrong checksum",
    ),
    (
        "acepta la conexión y no contesta",
        "the terminal accepts the connection and does not answer",
    ),
    (
        "pide una clave de comunicación y no hay ninguna configurada",
        "the terminal wants a communication key, and none is configured",
    ),
    (
        "rechaza la clave de comunicación configurada",
        "the terminal refuses the configured communication key",
    ),
    (
        "se bloqueó solo después de claves de comunicación equivocadas",
        "the terminal has locked itself after wrong communication keys",
    ),
    (
        "dice que la sesión no está autorizada al pedirle: {}",
        "the terminal calls the session unauthorised when asked to {}",
    ),
    (
        "se niega a esto: {}: {} ({})",
        "the terminal refuses to {}: {} ({})",
    ),
    (
        "no contestó a tiempo al pedirle: {}; llegaron {} respuestas a otras preguntas",
        "no answer in time when asked to {}; {} answers to other questions came",
    ),
    (
        "su respuesta no tiene sentido al pedirle: {}; código {}, {} bytes",
        "the answer to {} makes no sense: code {}, {} bytes",
    ),
    (
        "{} paquetes seguidos contestan preguntas que nadie hizo",
        "{} packets in a row answer questions that were not asked",
    ),
    (
        "llegaron {} de {} bytes prometidos",
        "{} of {} promised bytes came",
    ),
    (
        "dice que son {} bytes y son {}",
        "the terminal counts {} bytes where {} are",
    ),
    (
        "anuncia datos una y otra vez y no manda ninguno",
        "the terminal announces data again and again and sends none",
    ),
    (
        "anuncia {} bytes, más de lo que cabe en cualquier dispositivo",
        "{} bytes are announced, more than any terminal holds",
    ),
    (
        "no se puede saber el orden de los datagramas, porque no vienen numerados",
        "the order of the datagrams cannot be known, because they are not numbered",
    ),
    (
        "más de {} cosas esperan a que la sesión las entregue",
        "more than {} things wait to be taken from the session",
    ),
    ("un código desconocido", "a code that is not known"),
    ("abrir una sesión", "open a session"),
    (
        "aceptar la clave de comunicación",
        "accept the communication key",
    ),
    ("dejar que la gente lo use", "let people use it"),
    ("decir su número de serie", "tell its serial number"),
    ("decir un ajuste", "tell an option"),
    ("decir su firmware", "tell its firmware"),
    ("decir su hora", "tell its clock"),
    ("poner su hora", "set its clock"),
    ("tomar su hora nueva", "take over its clock"),
    ("decir cuánto tiene", "tell its sizes"),
    ("leer una tabla", "read a table"),
    (
        "leer sus registros de asistencia",
        "read its attendance log",
    ),
    ("leer su tabla de usuarios", "read its user table"),
    ("liberar su memoria", "free its buffer"),
    ("esperar a la gente", "wait for people"),
    ("mandar las checadas en vivo", "send real-time events"),
    ("terminar la sesión", "end the session"),
    // Its log or user list was not read (`zkteco_pull::Unread`).
    (
        "{} bytes no son un número entero de registros de 8, 16, 40 o 49 bytes",
        "{} bytes are no whole number of records of 8, 16, 40 or 49 bytes",
    ),
    (
        "{} bytes no tienen sentido en ningún formato de registro conocido",
        "{} bytes make sense in no known record layout",
    ),
    (
        "{} bytes tienen sentido en más de un formato de registro: {}",
        "{} bytes make sense in more than one record layout: {}",
    ),
    (
        "{} bytes de la tabla de usuarios no tienen sentido, o tienen dos, como registros de 28 o 72 bytes",
        "{} bytes of user table make no sense, or double sense, as records of 28 or 72 bytes",
    ),
    (
        "no entrega su tabla de usuarios: {}",
        "the terminal refuses its user table: {}",
    ),
    // A command that is not sent (`zkteco_push::Denied`).
    (
        "hace algo que esta versión nunca hace: {}",
        "it {}, which this release never does",
    ),
    (
        "esta forma no se ha medido en dispositivos en modo {}",
        "this form was not measured on terminals in {} mode",
    ),
    (
        "no es una de las órdenes que se pueden mandar",
        "it is not one of the commands that may be sent",
    ),
    ("leer", "reads"),
    ("reiniciar", "restarts"),
    ("cambiar personas", "touches people"),
    ("borrar", "clears"),
    ("abrir puertas", "opens doors"),
    ("cambiar ajustes", "changes settings"),
    ("ejecutar programas", "runs programs"),
    ("asistencia", "attendance"),
    ("acceso", "access"),
    // What somebody typed (`event`, the commands).
    ("está vacío", "is empty"),
    ("tiene más de {} caracteres", "is longer than {} characters"),
    (
        "solo puede tener letras, números, '-' y '_'",
        "may hold only letters, digits, '-' and '_'",
    ),
    ("existen: {}", "there are: {}"),
    (
        "'{}' no es una hora; escriba 2h, 2026-11-21, \"2026-11-21 08:00\" o 2026-11-21T08:00:00-06:00",
        "'{}' is not a time; write 2h, 2026-11-21, \"2026-11-21 08:00\" or 2026-11-21T08:00:00-06:00",
    ),
    ("no se puede leer {}", "{} cannot be read"),
    (
        "{} no es UTF-8; guárdelo como CSV UTF-8",
        "{} is not UTF-8; save it as CSV UTF-8",
    ),
    ("el trabajo {} ya no está", "job {} is gone"),
    (
        "el cliente no tiene base de datos",
        "the tenant has no database",
    ),
    // A window that was asked for again.
    (
        "el reloj no conoce esta pregunta",
        "the terminal does not know this question",
    ),
    (
        "el reloj no tiene esas horas",
        "a terminal has no such times",
    ),
    (
        "el reloj no contestó a tiempo",
        "the terminal did not answer in time",
    ),
    (
        "a este reloj no se le envía ese comando",
        "the terminal is not sent this command",
    ),
    (
        "el reloj no pudo enviarlos{}",
        "the terminal could not send it{}",
    ),
    (
        "no tiene búsqueda de eventos",
        "the device has no event search",
    ),
    (
        "un segundo tiene más registros de los que el dispositivo entrega",
        "a second of it holds more records than the device hands out",
    ),
    (
        "ya se le pide demasiado a la vez",
        "too much is wanted of this terminal at once",
    ),
    (
        "no se pudo leer el dispositivo: {}",
        "the terminal was not read: {}",
    ),
    (
        "sus registros no se pueden leer: {}",
        "its log cannot be read: {}",
    ),
    (
        "ya no se le consulta desde aquí",
        "the terminal is not dialled from here any more",
    ),
    ("la petición no se puede leer", "the request cannot be read"),
    (
        "la grabación no se puede escribir: {}",
        "the recording cannot be written: {}",
    ),
    // Records in review (`zkteco_pull`).
    ("sin PIN", "no PIN"),
    ("el PIN no es texto", "the PIN is not text"),
    (
        "la hora empacada {} no es una fecha que exista",
        "the packed time {} is no date of any calendar",
    ),
    (
        "los bytes {} no son fecha y hora",
        "the bytes {} are no date and time",
    ),
    (
        "no se conoce la lista de usuarios del dispositivo, y el registro solo trae {}",
        "the terminal's user list is not known, and the record holds only {}",
    ),
    (
        "en la lista de usuarios del dispositivo no hay nadie con {}",
        "the terminal's user list has nobody with {}",
    ),
    (
        "en la lista de usuarios del dispositivo hay varias personas con {}",
        "the terminal's user list has several people with {}",
    ),
    ("el número {}", "the number {}"),
    ("el índice {}", "the index {}"),
    (
        "un evento de longitud desconocida",
        "an event of unknown length",
    ),
    // Records in review (`zkteco_push`).
    ("una tabla que no conocemos", "a table that we do not know"),
    (
        "datos binarios de una tabla que no conocemos",
        "binary data of a table that we do not know",
    ),
    (
        "viene revuelto (LZO1); el dispositivo debe quedar sin cifrado",
        "scrambled (LZO1); the terminal must be set to no encryption",
    ),
    (
        "varios renglones juntos: demasiados renglones malos en un envío",
        "several lines together: too many bad lines in one upload",
    ),
    (
        "no hay clave=valor en los ajustes",
        "no key=value in the settings",
    ),
    (
        "ninguna de las claves del estado de una puerta",
        "none of the keys of a door state",
    ),
    (
        "un renglón más largo que cualquier registro",
        "a line longer than any record",
    ),
    (
        "un carácter de control dentro del renglón",
        "a control character inside the line",
    ),
    (
        "no es texto ni en UTF-8 ni en el alfabeto del dispositivo",
        "not text in UTF-8 nor in the terminal's own character set",
    ),
    ("menos de dos columnas", "fewer than two columns"),
    ("menos de tres columnas", "fewer than three columns"),
    ("ningún tipo de renglón conocido", "no known sort of line"),
    (
        "no es fecha y hora de los años 1970 a 2199",
        "not a date and time of the years 1970 to 2199",
    ),
    (
        "ni fecha y hora ni segundos empacados de un día que exista",
        "neither a date and time nor packed seconds of a day that exists",
    ),
    (
        "un PIN de más de 24 caracteres",
        "a PIN of more than 24 characters",
    ),
    (
        "una tarjeta más larga que cualquiera",
        "a card longer than any terminal's",
    ),
    ("sin código", "no code"),
    (
        "un código de operación es un número",
        "an operation code is a number",
    ),
    (
        "un código más largo que cualquiera",
        "a code longer than any terminal's",
    ),
    (
        "columnas más largas que cualquiera",
        "columns longer than any terminal's",
    ),
    ("sin ErrCode", "no ErrCode"),
    // Records in review (`hikvision_isapi`).
    ("ni XML ni JSON", "neither XML nor JSON"),
    ("no es un objeto JSON", "not a JSON object"),
    (
        "una lista de más de 1024 registros",
        "a list of more than 1024 records",
    ),
    (
        "texto de un envío más allá de 1 MiB o 1024 documentos, que es lo que se lee de uno",
        "text of a post beyond the 1 MiB or 1024 documents that are read of one",
    ),
    (
        "una parte de más de 256 KiB, o un trozo de ella",
        "a part of more than 256 KiB, or a piece of one",
    ),
    (
        "una parte con encabezado de más de 8 KiB; la parte se pasó por alto",
        "a part whose head is longer than 8 KiB; the part was passed over",
    ),
    (
        "un documento que no es un evento",
        "a document that is no event",
    ),
    (
        "un documento XML de más de 256 KiB",
        "an XML document of more than 256 KiB",
    ),
    (
        "elementos XML a más de 32 niveles",
        "XML elements nested deeper than 32",
    ),
    ("más de 8192 elementos XML", "more than 8192 XML elements"),
    (
        "una declaración de tipo de documento XML",
        "an XML document type declaration",
    ),
    (
        "una entidad XML que no es una de las cinco",
        "an XML entity that is not one of the five",
    ),
    ("XML mal formado", "not well-formed XML"),
    (
        "ninguna fecha y hora de los años 1970 a 2199",
        "no date and time of the years 1970 to 2199",
    ),
    (
        "un número que no se puede conservar exacto",
        "a number that cannot be kept exactly",
    ),
    (
        "no es un número donde va uno",
        "not a number where one belongs",
    ),
    (
        "una lista o un objeto donde va un texto",
        "a list or an object where a text belongs",
    ),
    (
        "una persona, tarjeta o código más largo que cualquiera",
        "a person, card or code longer than any device's",
    ),
    (
        "una persona, tarjeta o código con bytes que no son texto",
        "a person, card or code with bytes that are no text",
    ),
    (
        "un registro de más de 256 KiB",
        "a record of more than 256 KiB",
    ),
    (
        "más atributos de los que caben junto a un evento",
        "more attributes than fit beside an event",
    ),
    // Records in review (the store).
    (
        "misma persona y mismo segundo que una checada guardada, con otro estatus o verificación",
        "same person and second as a stored punch, other status or verify mode",
    ),
    (
        "misma identidad que un evento guardado, con otra persona u hora",
        "same identity as a stored event, other person or time",
    ),
    ("{}; {} bytes, se conservan {}", "{}; {} bytes, cut to {}"),
    ("{}; sin los valores secretos", "{}; secret values blanked"),
];
