//! `--help` in Spanish: what commands and options of `satellite` do, beside the English.
//!
//! The English texts stand where each option is declared and are the keys here, so that a
//! declaration needs no knowledge of this. A text that is missing here stays English; a test
//! says which. clap's own words are in `console`.

use console::Book;

/// The Spanish of this program's command line.
pub(crate) const BOOK: Book = Book {
    texts: TEXTS,
    remarks: REMARKS,
    sentence: satellite::detail::spanish,
};

macro_rules! pairs {
    ($($english:expr => $spanish:literal;)+) => { &[$(($english, $spanish)),+] };
}

/// What commands and options do.
const TEXTS: &[(&str, &str)] = pairs! {
    super::ABOUT => "Asistencia de los dispositivos a una base de datos, exactamente una vez";
    super::LONG => "Recibe todos los registros de los dispositivos de asistencia y guarda cada uno exactamente una vez en MySQL, MariaDB o SQLite. El dispositivo recibe OK solamente después de guardar.\n\nLas órdenes sirven con y sin el Programa Satélite en marcha. Como root, primero toman la identidad del dueño de la carpeta de estado.";
    "Print the completion script of a shell" => "Escribe el guion para completar órdenes en la terminal";
    "Which shell" => "De qué intérprete de órdenes";
    "Write the manual pages into a folder, for packages" => "Escribe las páginas del manual en una carpeta, para los paquetes";
    "The folder" => "La carpeta";
    "Configuration [default: /etc/satellite/satellite.toml; without it: SQLite under ./satellite-data]" => "Configuración [si no se indica: /etc/satellite/satellite.toml; sin ese archivo: SQLite en ./satellite-data]";
    "Language of what people read [default: from LC_ALL, LC_MESSAGES, LANG]" => "Idioma de los textos [si no se indica: LC_ALL, LC_MESSAGES, LANG]";
    "As JSON" => "En JSON";
    "Run the daemon" => "Pone en marcha el servicio";
    "An edge at a client's site: hand everything on to another satellite" => "Un equipo remoto en el sitio de un cliente: entrega todo a otro Programa Satélite";
    "The other satellite's address, in place of `to` under [edge]" => "La dirección del otro, en lugar de `to` en [edge]";
    "The file with the token that the other satellite gave, in place of `token_file` under [edge]" => "El archivo con el token que dio el otro, en lugar de `token_file` en [edge]";
    "Check the configuration and say what it means" => "Revisa la configuración y dice qué significa";
    "Look at everything satellite stands on, and say what mends it" => "Revisa todo aquello en lo que se apoya el Programa Satélite y dice qué lo arregla";
    "Also connect to each database and broker" => "Se conecta también a cada base de datos y cada broker";
    "Show it working: simulated terminals, an embedded database, events as they arrive" => "Lo muestra en marcha: dispositivos simulados, base de datos incluida, eventos conforme llegan";
    "How long" => "Cuánto tiempo";
    "How many simulated terminals" => "Cuántos dispositivos simulados";
    "The databases: tables, numbers, upkeep" => "Las bases de datos: tablas, números, mantenimiento";
    "Make the tables, or bring them up to date, in every database" => "Crea o actualiza las tablas de todas las bases de datos";
    "Schema, feed number and counts of every database" => "Versión, número y cuentas de cada base de datos";
    "Let all further feed numbers start above every number readers have seen" => "Hace que los números siguientes empiecen arriba de todos los que ya vieron los lectores";
    "Open a new epoch" => "Abre una época nueva";
    "Only in this tenant's database [default: in every database]" => "Solo en la base de datos de este cliente [si no se indica: en todas]";
    "Delete old events of canaries" => "Borra los eventos de prueba viejos";
    "The running satellite on one screen: tenants, terminals, rates, latency, conditions" => "El Programa Satélite en marcha, en una pantalla: clientes, dispositivos, ritmo, tiempos, avisos";
    "How often to look: 1s to 1m" => "Cada cuánto mirar: de 1s a 1m";
    "Archive old records and empty them in the database; without --apply only count" => "Archiva los registros viejos y los vacía en la base de datos; sin --apply solo cuenta";
    "By the configuration: all that is older than `keep` of its tenant says" => "Según la configuración: todo lo anterior a lo que dice `keep` de cada cliente";
    "Legal hold: while it lasts nothing of a tenant is archived or emptied" => "Conservación legal: mientras dure, nada de un cliente se archiva ni se vacía";
    "Begin: nothing of the tenant is archived or emptied" => "Empieza: nada del cliente se archiva ni se vacía";
    "Whose records" => "De qué cliente";
    "Which records: kinds of event, or settled quarantine; several with commas" => "Qué registros: clases de evento, o lo que estaba en revisión y ya se resolvió; varias con comas";
    "What happened before: 1825d, 2021-01-01; at least 30 days ago" => "Lo anterior a: 1825d, 2021-01-01; al menos hace 30 días";
    "The folder for the archives" => "La carpeta para los archivos";
    "Archive the records and empty them in the database" => "Archiva los registros y los vacía en la base de datos";
    "Attendance" => "Asistencia";
    "Doors" => "Puertas";
    "Alarms and detections" => "Alarmas y detecciones";
    "Operators and menus" => "Operadores y menús";
    "States of devices" => "Estados de los dispositivos";
    "The rest" => "Lo demás";
    "Settled records in quarantine" => "Registros en revisión ya resueltos";
    "Canary events older than so many days go" => "Se borran los eventos de prueba de más de tantos días";
    "The terminals: enrol, approve, block, list" => "Los dispositivos: alta, aprobación, bloqueo, lista";
    "Enrol a terminal and approve it" => "Da de alta un dispositivo y lo aprueba";
    "Whose terminal it is" => "De qué cliente es";
    "Who made it: zkteco, hikvision, other; satellite for an edge" => "Marca: zkteco, hikvision, other (las demás); satellite para un equipo remoto";
    "Its serial number, as it names itself" => "Número de serie, como lo dice el dispositivo";
    "A name for people" => "Nombre para las personas";
    "Where it stands" => "Sitio donde está";
    "IANA zone of its clock [default: the tenant's]" => "Zona IANA de su reloj [si no se indica: la del cliente]";
    "Records older than this are acknowledged and not stored; `all` takes everything [default: all for a new serial, from now on for one that was enrolled before]" => "Los registros anteriores se confirman y no se guardan; `all` acepta todo [si no se indica: todo para una serie nueva, desde ahora para una que ya estuvo dada de alta]";
    "One of the watchdog's own terminals" => "Es un dispositivo de prueba de Sentinela";
    "Begin a new history: other hardware under the same serial" => "Comienza un historial nuevo: otro equipo con la misma serie";
    "Hikvision, others and edges: let it post to us; prints its URL or token once, and makes a new one each time" => "Hikvision, otras marcas y equipos remotos: que envíe él; muestra su URL o su token una sola vez, y hace uno nuevo cada vez";
    "Where it is dialled; a ZKTeco terminal on port 4370 when none is given" => "Dónde se le consulta; un ZKTeco en el puerto 4370 si no se indica otro";
    "Hikvision: the account on the device" => "Hikvision: la cuenta en el dispositivo";
    "The file with the account's password, for ZKTeco with the communication key: a path, or a name in /etc/satellite/secrets" => "El archivo con la contraseña de la cuenta, en ZKTeco con la clave de comunicación: una ruta o un nombre en /etc/satellite/secrets";
    "Hikvision: its MAC address, which it may show instead of its serial" => "Hikvision: su dirección MAC, que puede mostrar en lugar de su serie";
    "Write into a Hikvision device where it shall post, and read it back" => "Escribe en un dispositivo Hikvision a dónde debe enviar, y lo vuelve a leer";
    "Approve a terminal that waits, or one that was blocked" => "Aprueba un dispositivo pendiente o bloqueado";
    "Its serial number" => "Número de serie";
    "For whom [default: the only tenant, or the one it is enrolled for]" => "Para qué cliente [si no se indica: el único, o el que ya tiene]";
    "Shut a terminal out; it keeps its records" => "Bloquea un dispositivo; conserva sus registros";
    "List terminals: approved, blocked, pending" => "Lista los dispositivos: aprobados, bloqueados, pendientes";
    "Only this tenant's; pending ones belong to nobody yet" => "Solo los de este cliente; los pendientes todavía no son de nadie";
    "What happened since a moment, in one file that anybody can verify" => "Lo que pasó desde un momento, en un archivo que cualquiera puede comprobar";
    "The file; its hash is written beside it with the end .sha256" => "El archivo; su suma queda al lado con la terminación .sha256";
    "After a break-in: stop commands, enrolments and outputs, and go on storing" => "Tras una intrusión: detiene órdenes, altas y salidas, y sigue guardando";
    "Begin: commands, new enrolments and outputs stop" => "Empieza: se detienen órdenes, altas nuevas y salidas";
    "End it" => "Lo termina";
    "What holds, since when, and who began it" => "Qué está en vigor, desde cuándo y quién lo empezó";
    "Only this tenant's terminals [default: everything]" => "Solo los dispositivos de este cliente [si no se indica: todo]";
    "Why, for the audit" => "Por qué, para la auditoría";
    "Give a device that posts another token: the old one stops working" => "Da otro token a un dispositivo que envía solo: el anterior deja de servir";
    "Only approved terminals whose last request came over plain HTTP; asks the running satellite" => "Solo los aprobados cuya última petición llegó por HTTP sin cifrar; pregunta al Programa Satélite en marcha";
    "What each one is: model, firmware, protocol, address, log, clock" => "Qué es cada uno: modelo, firmware, protocolo, dirección, memoria, reloj";
    "Only in this state" => "Solo los que están en este estado";
    "Everything about one terminal, and what to type into it" => "Todo sobre un dispositivo, y qué escribir en él";
    "Tell a ZKTeco push terminal something, and show what it answers" => "Manda una orden a un ZKTeco de envío automático y muestra qué contesta";
    "What it is told" => "Qué se le manda";
    "Begin of the time, by the terminal's clock" => "Principio del tiempo, en la hora del dispositivo";
    "End of the time, included" => "Fin del tiempo, incluido";
    "Names of settings, separated by commas" => "Nombres de ajustes, separados por comas";
    "How long it may wait for the terminal" => "Cuánto puede esperar al dispositivo";
    "Say what would be sent and send nothing" => "Dice qué se mandaría y no manda nada";
    "Do not wait for the answer" => "No espera la respuesta";
    "Record what a ZKTeco terminal says and hears, without names, cards and secrets" => "Graba lo que un ZKTeco dice y oye, sin nombres, tarjetas ni claves";
    "How many minutes, 1 to 60" => "Cuántos minutos, de 1 a 60";
    "Enrol every terminal of a CSV file" => "Da de alta los dispositivos de un archivo CSV";
    "The file; `-` is standard input" => "El archivo; `-` es la entrada estándar";
    "Check and say what would be done" => "Revisa y dice qué se haría";
    "Where stored events are carried to: outputs, how far they are, pause, deliver again" => "A dónde se llevan los eventos guardados: salidas, hasta dónde van, pausa, entregar otra vez";
    "Every output, how far it has come, and what stops it" => "Todas las salidas, hasta dónde van y qué las detiene";
    "Deliver nothing until it is resumed; events wait in the feed" => "No entrega nada hasta que se reanude; los eventos esperan";
    "The output's name in the configuration" => "El nombre de la salida en la configuración";
    "Go on where it was paused" => "Sigue donde se quedó";
    "Deliver again; receivers know repeated events by their event_uid" => "Entrega otra vez; quien recibe reconoce lo repetido por su event_uid";
    "Everything that came since then: 2h, 2026-11-21, \"2026-11-21 08:00\"" => "Todo lo recibido desde entonces: 2h, 2026-11-21, \"2026-11-21 08:00\"";
    "The dead letters" => "Los no entregables";
    "A tenant's events of a time as one CSV or JSON-lines file" => "Los eventos de un cliente en un periodo, en un archivo CSV o JSON por renglones";
    "Whose events" => "De qué cliente";
    "From when on: 24h, 2026-11-01, \"2026-11-01 08:00\"" => "Desde cuándo: 24h, 2026-11-01, \"2026-11-01 08:00\"";
    "Up to when; a day is included [default: now]" => "Hasta cuándo; un día se incluye completo [si no se indica: ahora]";
    "Only punches" => "Solo checadas";
    "One JSON object a line" => "Un objeto JSON por renglón";
    "Into this file, which appears when it is complete [default: standard output]" => "En este archivo, que aparece cuando está completo [si no se indica: la salida estándar]";
    "A whole tenant: into one file, and out of one" => "Un cliente entero: a un archivo, y desde un archivo";
    "Everything of a tenant into one file, for another installation" => "Todo lo de un cliente en un archivo, para otra instalación";
    "Whose data" => "De qué cliente";
    "The file, which appears when it is complete and is never written over" => "El archivo, que aparece cuando está completo y nunca se escribe encima";
    "Delete everything of a tenant that has gone, with a proof; first only shown" => "Borra todo lo de un cliente que se fue, con constancia; primero solo lo muestra";
    "Who was deleted, whether the proofs are whole, and what still holds something" => "Quién se borró, si las constancias están completas y qué conserva algo todavía";
    "Who goes" => "Quién se va";
    "Delete it: the tenant's name once more" => "Bórralo: el nombre del cliente otra vez";
    "Take in what another installation wrote" => "Recibe lo que escribió otra instalación";
    "The file that `tenant export` wrote" => "El archivo que escribió `tenant export`";
    "For the tenant of this name here [default: the name it had]" => "Para el cliente con este nombre aquí [si no se indica: el nombre que tenía]";
    "Verify it, say what would be done, and do nothing" => "Lo comprueba, dice qué se haría y no hace nada";
    "A day's punches here against those in a file of another program" => "Las checadas de un día aquí contra las de un archivo de otro programa";
    "Whose punches" => "De qué cliente";
    "Which day, by the terminals' clocks: 2026-11-25" => "Qué día, en la hora de los dispositivos: 2026-11-25";
    "The other program's export, CSV with a line of headings" => "Lo que exportó el otro programa, CSV con un renglón de encabezados";
    "The column with the person [default: guessed]" => "La columna de la persona [si no se indica: se busca]";
    "The column with the time, or with date and time [default: guessed]" => "La columna de la hora, o de fecha y hora [si no se indica: se busca]";
    "The column with the date, where it stands apart [default: guessed]" => "La columna de la fecha, si va aparte [si no se indica: se busca]";
    "The column with the terminal's serial [default: guessed; without one, terminals do not count]" => "La columna con la serie del dispositivo [si no se indica: se busca; sin ella, el dispositivo no cuenta]";
    "11/25/2026 instead of 25/11/2026" => "11/25/2026 en lugar de 25/11/2026";
    "Show events" => "Muestra los eventos";
    "From when on: 2h, 2026-11-21, \"2026-11-21 08:00\" [default: 24h; with --follow: from now]" => "Desde cuándo: 2h, 2026-11-21, \"2026-11-21 08:00\" [si no se indica: 24h; con --follow: desde ahora]";
    "Go on with new events until Ctrl-C" => "Sigue con los eventos nuevos hasta Ctrl-C";
    "Only this person" => "Solo esta persona";
    "Only this terminal" => "Solo este dispositivo";
    "Only this tenant" => "Solo este cliente";
    "Only this kind: punch, access, alarm, operation, device, other" => "Solo este tipo: punch, access, alarm, operation, device, other";
    "The watchdog's own terminals instead of all others" => "Los dispositivos de prueba de Sentinela en lugar de los demás";
    "At most so many rows [default: 1000 for a table, else all]" => "Cuántos renglones a lo más [si no se indica: 1000 en tabla, si no todos]";
    "For people" => "Para leer";
    "One object a line" => "Un objeto por renglón";
    "For spreadsheets" => "Para hojas de cálculo";
    "For programs" => "Para programas";
    "To print and sign" => "Para imprimir y firmar";
    "How they are written" => "Cómo se escriben";
    "The same as --format json" => "Lo mismo que --format json";
    "Records that were stored and could not be read" => "Registros en revisión: se guardaron y no se pudieron interpretar";
    "List records in review" => "Lista los registros en revisión";
    "Only of this terminal" => "Solo los de este dispositivo";
    "Only with this reason: unreadable, bad_time, bad_field, bad_text, unknown_table, unknown_terminal, same_second, conflict, store_refused" => "Solo con este motivo: unreadable, bad_time, bad_field, bad_text, unknown_table, unknown_terminal, same_second, conflict, store_refused";
    "Only in this tenant's database" => "Solo en la base de datos de este cliente";
    "Also those that were settled" => "También los resueltos";
    "At most so many, the newest" => "Cuántos a lo más, los más nuevos";
    "One record, with its bytes" => "Un registro, con sus bytes";
    "Its number" => "Su número";
    "In this tenant's database; needed when several databases have that number" => "En la base de datos de este cliente; hace falta cuando varias tienen ese número";
    "Read records again and store what can be read now" => "Vuelve a leer los registros y guarda los que ya se pueden interpretar";
    "Records of this terminal" => "Los registros de este dispositivo";
    "The record with this number" => "El registro con este número";
    "Every record that is not settled" => "Todos los que no están resueltos";
    "Ask a terminal for a window of its record again" => "Vuelve a pedir a un dispositivo un horario de sus registros";
    "From when on: 2h, 2026-11-21, \"2026-11-21 08:00\"" => "Desde cuándo: 2h, 2026-11-21, \"2026-11-21 08:00\"";
    "Up to when [default: now]" => "Hasta cuándo [si no se indica: ahora]";
    "How long the job may wait for the terminal" => "Cuánto puede esperar el trabajo al dispositivo";
    "How often a terminal that is dialled is visited" => "Cada cuánto se consulta un dispositivo";
    "From one visit to the next, 30s to 1h" => "De una consulta a la siguiente, de 30s a 1h";
    "As often as satellite does by itself" => "Tan seguido como lo hace el Programa Satélite por sí mismo";
    "Do not wait until it is done" => "No espera a que termine";
    "As JSON, when it is done" => "En JSON, al terminar";
    "Copies of the databases: made, shown, proven by restoring them, removed" => "Copias de las bases de datos: hacerlas, verlas, comprobarlas restaurándolas, quitarlas";
    "Make a copy of every database, in both locations" => "Hace una copia de cada base de datos, en las dos ubicaciones";
    "Only this tenant's database [default: every one]" => "Solo la base de datos de este cliente [si no se indica: todas]";
    "Ship the binary log of MariaDB behind the copies, every minute" => "Envía la bitácora binaria de MariaDB detrás de las copias, cada minuto";
    "One round, and end" => "Una vuelta, y termina";
    "Put back only what was committed before this time, as far as the binary log was shipped" => "Restaura solo lo confirmado antes de esta hora, hasta donde se envió la bitácora del servidor";
    "Put back the copy alone, without the binary log that follows it" => "Restaura la copia sola, sin la bitácora que la sigue";
    "Every copy: when, how large, where, whether it was proven" => "Todas las copias: cuándo, tamaño, dónde y si se comprobó";
    "What is copied, how often, where to, the last good one, the last proven one, the next" => "Qué se respalda, cada cuánto, dónde, la última buena, la última comprobada, la siguiente";
    "Restore the newest copy into a private scratch server and compare every row" => "Restaura la última copia en un servidor privado y compara cada renglón";
    "The same as an exercise: measure what would be lost and how long it takes, and judge" => "Lo mismo como simulacro: mide qué se perdería y cuánto tarda, y lo califica";
    "Remove the copies that backup.keep no longer wants" => "Quita las copias que backup.keep ya no pide";
    "Say what would go and remove nothing" => "Dice qué se quitaría y no quita nada";
    "Put a copy back, after saying how old it is and keeping what is there" => "Restaura una copia, después de decir de cuándo es y de resguardar lo que hay";
    "The copy, as `backup list` names it [default: the newest]" => "La copia, como la nombra `backup list` [si no se indica: la última]";
    "Confirm: the tenant's name, or `all` for every database" => "Confirma: el nombre del cliente, o `all` para todas las bases";
    "Go on although what is there cannot be copied" => "Sigue aunque lo que hay no se pueda resguardar";
    "As the second person: approve the restore that somebody asked for" => "Como segunda persona: aprueba la restauración que alguien pidió";
    "What was lost, what came back and how long it took, beside what was promised" => "Qué se perdió, qué volvió y cuánto tardó, junto a lo comprometido";
    "The report as JSON" => "El informe en JSON";
    "Whether a payroll period is complete, terminal by terminal" => "Si un periodo de nómina está completo, reloj por reloj";
    "Whose terminals" => "De qué cliente";
    "The last day of the period, or a moment in it" => "Último día del periodo, o un momento de él";
    "Where the period begins [default: the 1st or the 16th before it]" => "Dónde empieza el periodo [si no se indica: el 1 o el 16 anterior]";
    "How it is written" => "Cómo se escribe";
    "How far a terminal gets, and what to do about it" => "Hasta dónde llega un dispositivo, y qué hacer";
    "The terminal's serial number" => "Número de serie del dispositivo";
};

/// What stands beside the examples.
const REMARKS: &[(&str, &str)] = pairs! {
    "Examples:" => "Ejemplos:";
    "Example:" => "Ejemplo:";
    "Example, after a restore:" => "Ejemplo, después de restaurar:";
    "See it work, with simulated terminals:" => "Verlo en marcha, con dispositivos simulados:";
    "The first terminal, without any configuration:" => "El primer dispositivo, sin configuración:";
    "Exit status: 0 fine, 1 failed, 78 the configuration is wrong." => "Estado de salida: 0 bien, 1 falló, 78 la configuración tiene un error.";
    "# no configuration: SQLite under ./satellite-data" => "# sin configuración: SQLite en ./satellite-data";
    "SIGTERM finishes what is in flight, SIGHUP reads the configuration again." => "SIGTERM termina lo que está en curso, SIGHUP vuelve a leer la configuración.";
    "# keys, values and secrets" => "# claves, valores y contraseñas";
    "# databases and brokers too" => "# también las bases de datos y los brokers";
    "Ends by itself, or on Ctrl-C; what it stored stays in the folder that it names." => "Termina sola, o con Ctrl-C; lo guardado queda en la carpeta que indica.";
    "# makes or updates the tables of every database" => "# crea o actualiza las tablas de todas las bases";
    "# versions and numbers" => "# versiones y números";
    "# after restoring an older copy, before readers go on" => "# después de restaurar un respaldo, antes de seguir leyendo";
    "# counts, changes nothing" => "# solo cuenta, no cambia nada";
    "The folder must be there and belong to the user of the state folder. The account needs UPDATE on the\nevents, as satellite and satellite_upkeep of grants.sql have it." => "La carpeta debe existir y ser del usuario de la carpeta de estado. La cuenta necesita UPDATE en los\neventos, como lo tienen satellite y satellite_upkeep de grants.sql.";
    "# what the timer does" => "# lo que hace el temporizador";
    "# legal hold: nothing of that tenant goes" => "# conservación legal: nada de ese cliente se vacía";
    "Intake goes on. Old canary events still go (db maintain)." => "Los registros se siguen recibiendo. Las checadas de prueba viejas se borran igual (db maintain).";
    "q, Esc or Ctrl-C ends it. It needs a terminal of 80 by 24; over ssh: ssh -t SERVER satellite top." => "Termina con q, Esc o Ctrl-C. Necesita una terminal de 80 por 24; por ssh: ssh -t SERVIDOR satellite top.";
    "# from a timer, once a day" => "# desde un temporizador, una vez al día";
    "# pending ones too" => "# también los pendientes";
    "\"break-in at the server\"" => "\"intrusión en el servidor\"";
    "Approved terminals go on being stored. Commands to terminals, new enrolments and outputs stop;\ntokens are read again from the registry." => "Lo que envían los dispositivos aprobados se sigue guardando. Se detienen las órdenes, las altas nuevas y las\nsalidas; los tokens se vuelven a leer del registro.";
    "The file is written by the user of the state folder and is never overwritten." => "El archivo lo escribe el usuario de la carpeta de estado y nunca se sobreescribe.";
    "# who still speaks plain HTTP" => "# quién usa todavía HTTP sin cifrar";
    "# one that waits" => "# uno que está pendiente";
    "Words: info, check, log, time, options, records, count, reboot. Nothing else is ever sent." => "Palabras: info, check, log, time, options, records, count, reboot. Nunca se manda otra cosa.";
    "A ZKTeco terminal with a schedule is left after each visit, so that other programs can speak to\nit in between; its punches come with the visits. A Hikvision device is searched at most so often;\nits live stream stays. Never more often than 30s, nor more rarely than 1h." => "Después de cada consulta, un ZKTeco con horario queda libre para otros programas; sus checadas\nllegan con cada consulta. Un Hikvision se busca a lo más con esa frecuencia; su transmisión en vivo\nsigue. Nunca más seguido que 30s ni menos que 1h.";
    "Names, cards, passwords, pictures, keys and the serial are replaced before anything is written." => "Nombres, tarjetas, contraseñas, fotos, claves y el número de serie se sustituyen antes de escribir nada.";
    "# and what to type into the terminal" => "# y qué escribir en el dispositivo";
    "A running satellite notices a change within 10 seconds." => "El Programa Satélite en marcha nota los cambios en 10 segundos a más tardar.";
    "A used terminal, whose former owner's records must not come in:" => "Un dispositivo usado, del que no deben entrar los registros de su dueño anterior:";
    "A Hikvision device that can be reached, for example over a VPN; its password is in a file:" => "Un Hikvision al que se puede llegar, por ejemplo por VPN; su contraseña está en un archivo:";
    "A Hikvision device that posts to us; prints what to type into it:" => "Un Hikvision que envía él mismo; muestra qué escribir en él:";
    "An edge, which is a satellite at a client's site; prints its token:" => "Un equipo remoto, que es un Programa Satélite en el sitio de un cliente; muestra su token:";
    "The first line names the columns; only serial is needed:" => "El primer renglón nombra las columnas; solo serial es obligatoria:";
    "Columns may be separated by semicolons, too." => "Las columnas también pueden separarse con punto y coma.";
    "# what is wrong, and what mends it" => "# qué está mal y qué lo arregla";
    "# for machines" => "# para máquinas";
    "Exit status: 0 nothing is bad, 1 something is, 78 the configuration is wrong." => "Estado de salida: 0 nada está mal, 1 algo está mal, 78 la configuración está mal.";
    "# the last two hours" => "# las últimas dos horas";
    "# as they arrive, until Ctrl-C" => "# conforme llegan, hasta Ctrl-C";
    "Ctrl-C leaves the job in place. What is stored already is not stored again." => "Ctrl-C deja el trabajo en su lugar. Lo que ya está guardado no se repite.";
    "# the first half of November" => "# la primera quincena de noviembre";
    "# from a timer, so that none is ever older than three hours" => "# desde un temporizador, para que el último nunca tenga más de tres horas";
    "# the newest copy of one tenant's database; asks first" => "# la última copia de la base de un cliente; pregunta antes";
    "# of every database, without asking" => "# de todas las bases, sin preguntar";
    "# what was lost, what came back, how long it took" => "# qué se perdió, qué volvió, cuánto tardó";
    "satellite has to be stopped. What is there is copied before it is replaced." => "El Programa Satélite debe estar detenido. Lo que hay se resguarda antes de reemplazarlo.";
    "# the table of the contingency plan" => "# la tabla del plan de contingencia";
    "# from a timer, once a week" => "# desde un temporizador, cada semana";
    "Importing once more, or beside terminals that send the same records again, makes no duplicate." => "Importar otra vez, o junto a dispositivos que envían de nuevo lo mismo, no duplica nada.";
    "The file is written by the user of the state folder. It holds personal data: keep it as the database is kept." => "Escribe el archivo el usuario de la carpeta de estado. Lleva datos personales: cuídelo igual que la base de datos.";
    "The tenant has to be in the configuration. A command that was cut off is given again." => "El cliente debe estar en la configuración. Si la orden se interrumpe, se repite.";
    "# what would go and what would still hold it; changes nothing" => "# qué se borraría y qué lo conservaría; no cambia nada";
    "Works beside a running satellite; a command that was cut off is given again." => "Funciona con el Programa Satélite en marcha; si la orden se interrumpe, se repite.";
    "On MySQL and MariaDB the account must be allowed to delete: satellite_admin of grants.sql." => "En MySQL y MariaDB la cuenta debe poder borrar: satellite_admin de grants.sql.";
    "# the proofs themselves" => "# las constancias mismas";
    "Exit status 1 when a proof is not as it was written, or a deletion did not end." => "Estado de salida 1 si una constancia no es como se escribió, o si una baja no terminó.";
    "Exit status 0 when it passed: everything equal, within what was promised. sentinel's daily mail shows it." => "Estado de salida 0 si aprobó: todo igual y dentro de lo comprometido. El correo diario de Sentinela lo muestra.";
    "# from a timer, every night" => "# desde un temporizador, cada noche";
    "Exit status 0 when every database was copied, 1 when one was not; the copies before stay as they are." => "Estado de salida 0 si se copiaron todas las bases, 1 si alguna no; las copias anteriores quedan como estaban.";
    "A copy goes only when a newer one has been verified; the last verified one never goes. What a restore kept safe goes after 30 days, when a newer copy has been verified." => "Una copia se quita solo si hay otra más nueva comprobada; la última comprobada nunca se quita. Lo que resguardó una restauración se quita después de 30 días, si hay una copia más nueva comprobada.";
    "Needs backup.binary_log. satellite-ship.service runs it; what it ships is replayed by restore, verify and drill." => "Necesita backup.binary_log. Lo ejecuta satellite-ship.service; restore, verify y drill ponen encima de la copia lo enviado.";
    "# a service: the binary log of MariaDB, every minute" => "# un servicio: la bitácora binaria de MariaDB, cada minuto";
    "# as it was a quarter of an hour ago, by the binary log" => "# como estaba hace un cuarto de hora, con la bitácora del servidor";
    "Exit status 0 when everything is complete, else 1." => "Estado de salida 0 cuando todo está completo, si no 1.";
    "A ZKTeco terminal that is dialled on port 4370; its communication key is in a file:" => "Un ZKTeco que se consulta en el puerto 4370; su clave de comunicación está en un archivo:";
    "Another make that posts JSON or CSV; a [[mapping]] of the configuration reads it:" => "Otra marca que envía JSON o CSV; lo lee un [[mapping]] de la configuración:";
    "# everything that came since then, again" => "# otra vez todo lo que llegó desde entonces";
    "# what the receiver did not take" => "# lo que el receptor no aceptó";
    "# the same, and writes it into the device" => "# lo mismo, y lo escribe en el dispositivo";
    "The first line names the columns; separators , ; tab and | are told apart by themselves." => "El primer renglón nombra las columnas; los separadores , ; tabulador y | se reconocen solos.";
    "Exit status 0 when both have the same punches, else 1." => "Estado de salida 0 si los dos tienen las mismas checadas, si no 1.";
    "\"Main door\"" => "\"Puerta principal\"";
    "# after an update that reads more" => "# después de una actualización que lee más";
    "Five steps, reached → identified → approved → parsed → stored, and advice on the first that\nfailed, or else that nobody has seen. Exit status 0 when all are green, else 1." => "Cinco pasos, llegó → se identificó → está aprobado → se interpretó → se guardó, y qué hacer en el\nprimero que falla o, si ninguno falla, en el primero que no se ha visto. Estado de salida 0 cuando todos están bien, si no 1.";
};

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::CommandFactory as _;
    use console::Lang;

    #[test]
    fn every_text_of_help_has_its_spanish_and_no_spanish_is_left_over() {
        assert_eq!(
            console::unspoken(Cli::command(), &BOOK),
            Vec::<String>::new()
        );
    }

    #[test]
    fn help_is_spanish_where_that_is_asked_for_and_reads_the_same_command_line() {
        let read = |line: &str| {
            let words = line.split(' ').map(str::to_owned);
            console::read(Cli::command(), words, Lang::Es, &BOOK)
        };
        let help = read("satellite devices block --help").unwrap_err().text();
        for text in [
            "Uso: satellite devices block",
            "Opciones:",
            "Número de serie",
            "Ejemplo:",
        ] {
            assert!(help.contains(text), "{text:?} in\n{help}");
        }
        let wrong = read("satellite trace A*1").unwrap_err().text();
        assert!(
            wrong.contains("solo puede tener letras, números"),
            "{wrong}"
        );
        let read = read("satellite --lang es trace A1");
        assert_eq!(read.unwrap().subcommand_name(), Some("trace"));
    }
}
