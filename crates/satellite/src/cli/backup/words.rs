//! What `backup` says, in Spanish and in English.

use crate::cli::words::texts;

texts! {
    Says;

    // Headings and cells.
    Store: "base de datos", "database";
    Copy: "copia", "copy";
    Made: "hecha", "made";
    Size: "tamaño", "size";
    Proven: "comprobada", "verified";
    Where: "dónde", "where";
    What: "qué se respalda", "what";
    Every: "cada", "every";
    First: "ubicación", "location";
    Second: "segunda ubicación", "second location";
    Keep: "se conserva", "kept";
    LastGood: "última buena", "last good";
    LastProven: "última comprobada", "last verified";
    Next: "siguiente", "next";
    SafeCopy: "resguardo al restaurar", "kept by a restore";
    LogUntil: "bitácora enviada hasta", "binary log shipped until";
    Contingency: "contingencia", "contingency";
    RpoPromised: "RPO comprometido", "RPO promised";
    RpoNow: "RPO en este momento", "RPO at this moment";
    RpoMeasured: "RPO medido", "RPO measured";
    RtoPromised: "RTO comprometido", "RTO promised";
    RtoMeasured: "RTO medido", "RTO measured";
    MeasuredBy: "medido en", "measured by";
    Failure: "falla de aplicación, componente o base de datos", "failure of application, component or database";
    ServerLost: "pérdida del servidor", "loss of the server";
    ByDrill: "simulacro {}, {}", "drill {}, {}";
    ByRestore: "restauración {}", "restore {}";
    Passed: "aprobado", "passed";
    NotPassed: "REPROBADO", "FAILED";
    NotMeasured: "sin medir", "not measured";
    Hours: "{} a {} h", "{} to {} h";
    Yes: "sí", "yes";
    Never: "nunca", "never";
    NoSecond: "NINGUNA: una sola ubicación no protege", "NONE: one location protects nothing";
    SameDisk: "{} (MISMO DISCO: no protege)", "{} (SAME DISK: protects nothing)";
    Now: "ya", "now";

    // What was done.
    Taken: "{}: copia {}: {} renglones, {}, en {} s; {}", "{}: copy {}: {} rows, {}, in {} s; {}";
    TwoDisks: "en dos discos", "on two disks";
    Failed: "{}: no se pudo: {}", "{}: failed: {}";
    SecondFailed: "{}: la copia no llegó a la segunda ubicación: {}", "{}: the copy did not reach the second location: {}";
    OneLocation: "solo en un disco: si se pierde el servidor, se pierden los datos y sus copias; indique backup.second en otro disco", "on one disk only: whoever loses the server loses the data and its copies; name backup.second on another disk";
    Proved: "{}: copia {} restaurada e igual: {} tablas, {} renglones, en {} s; constancia: {}", "{}: copy {} restored and equal: {} tables, {} rows, in {} s; evidence: {}";
    ProvedAt: "    la copia es de hace {}; se leyó de {}", "    the copy is {} old; it was read from {}";
    Replayed: "    con la bitácora del servidor encima: {} registros más, hasta hace {}", "    with the server's binary log on top: {} more records, up to {} ago";
    Shipped: "{}: {} pedazos enviados; está todo hasta {}", "{}: {} pieces shipped; everything is there up to {}";
    NotShipped: "{}: la bitácora del servidor no se envió: {}", "{}: the binary log was not shipped: {}";
    ShippedAgain: "{}: la bitácora del servidor se envía otra vez", "{}: the binary log is shipped again";
    DrillPassed: "SIMULACRO APROBADO: se habría perdido lo de {} (comprometido: {}), restaurar tardó {} (comprometido: {}); constancia: {}", "DRILL PASSED: {} would have been lost (promised: {}), restoring took {} (promised: {}); evidence: {}";
    DrillFailed: "SIMULACRO REPROBADO: se habría perdido lo de {} (comprometido: {}), restaurar tardó {} (comprometido: {}); constancia: {}", "DRILL FAILED: {} would have been lost (promised: {}), restoring took {} (promised: {}); evidence: {}";
    NothingToProve: "{}: no hay ninguna copia en {}; haga una: {} backup run", "{}: there is no copy at {}; make one: {} backup run";
    Gone: "quitada: {}", "removed: {}";
    WouldGo: "se quitaría: {}", "would be removed: {}";
    PiecesGone: "quitados: {} pedazos de la bitácora del servidor", "removed: {} pieces of the server's binary log";
    PiecesWouldGo: "se quitarían: {} pedazos de la bitácora del servidor", "would be removed: {} pieces of the server's binary log";
    LeftUntil: "{}: copias de un cliente que ya no está en la configuración; la última se quita el {}", "{}: copies of a client that the configuration names no more; the last one goes on {}";
    LeftForGood: "{}: copias de nadie que esté en la configuración, y ninguna se comprobó aquí; no se quitan solas", "{}: copies of nobody in the configuration, none of them verified here; they do not go by themselves";
    NothingGoes: "no hay copias que quitar", "there is no copy to remove";
    NothingProven: "{}: no se quita nada mientras ninguna copia esté comprobada; ejecute: {} backup verify", "{}: nothing is removed as long as no copy is verified; run: {} backup verify";

    // What is missing.
    NoBackup: "no hay copias configuradas; escriba [backup] con folder, second y recipients; vea copias-de-seguridad.md", "no copies are configured; write [backup] with folder, second and recipients; see CONFIG.md";
    NoLog: "no hay nada que enviar; escriba binary_log = true, que sirve para bases de MariaDB; vea copias-de-seguridad.md", "there is nothing to ship; write binary_log = true, which serves databases of MariaDB; see CONFIG.md";
    NoIdentity: "falta identity_file, el archivo con la llave secreta que abre las copias", "identity_file is missing, the file with the secret key that opens the copies";
    Busy: "otro respaldo está en curso en este equipo ({}); espere a que termine", "another backup is on its way on this machine ({}); wait until it ends";
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
