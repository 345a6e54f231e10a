//! What `restore` says, in Spanish and in English.

use crate::cli::words::texts;

texts! {
    Says;

    // Before anything is done.
    Will: "{}: se pondrá la copia {}, de hace {} ({} renglones, {}), en {}", "{}: the copy {}, {} old ({} rows, {}), will be put in {}";
    WillLose: "    Lo que entró después de esa copia deja de estar; después se vuelve a pedir a los dispositivos.", "    What came in after that copy is gone; afterwards the terminals are asked for it again.";
    Holds: "    En esa base están también los demás: {}", "    That database holds others too: {}";
    Proven: "comprobada", "verified";
    Unproven: "SIN COMPROBAR", "NOT VERIFIED";
    Other: "    la copia de {} no sirve ({}); se usa la otra", "    the copy at {} does not serve ({}); the other one is used";
    WillReplay: "    Encima se pone la bitácora del servidor, hasta {} (hace {}).", "    The server's binary log follows it, up to {} ({} ago).";
    NoTail: "    No hay bitácora del servidor que la siga: se pone la copia sola.", "    No binary log follows it: the copy is put back alone.";
    Away: "    Termina antes de {}: lo que vino después no se pone. Para elegir otro momento: --until", "    It ends before {}: what came after is not put back. For another moment: --until";
    DamagedLog: "    Un pedazo de la bitácora no sirve ({}); lo que vino después no se pone.", "    A piece of the log does not serve ({}); what came after is not put back.";
    NoUntil: "{}: la copia {} no llega hasta ahí: {}. Sin --until se pone hasta donde se pueda; otra copia se elige con --copy", "{}: the copy {} does not reach that moment: {}. Without --until all there is is put back; another copy is chosen by --copy";
    NoLogThere: "ninguna bitácora la sigue", "no binary log follows it";
    LogEnds: "la bitácora termina en {}", "the log ends at {}";
    OtherName: "    La bitácora es de la base {} y aquí se indica {}: se pone la copia sola.", "    The log is of the database {} and {} is named here: the copy is put back alone.";
    TypeName: "Para seguir escriba {}: ", "To go on, type {}: ";
    NotTyped: "no se hizo nada: para restaurar se confirma con --yes {}", "nothing was done: a restore is confirmed with --yes {}";
    Runs: "el Programa Satélite está en marcha; deténgalo primero: systemctl stop 'satellite*.socket' satellite", "satellite is running; stop it first: systemctl stop 'satellite*.socket' satellite";
    NoCopy: "{}: no hay ninguna copia{} en {}; vea cuáles hay: {} backup list", "{}: there is no copy{} at {}; see which there are: {} backup list";

    // The second person.
    Asked: "hace falta otra persona: que entre con su propio usuario y ejecute en la próxima hora: {} restore --approve; después repita esta orden", "a second person is needed: under their own user, within an hour: {} restore --approve; then repeat this command";
    NoRequest: "nadie ha pedido una restauración ni una baja en la última hora", "nobody has asked for a restore or a deletion within the last hour";
    SamePerson: "la pidió {}: tiene que aprobarla otra persona", "{} asked for it: somebody else has to approve it";
    Approved: "{} aprueba lo que pidió {}: {}", "{} approves what {} asked for: {}";

    // What was done.
    Nothing: "{}: no había nada que resguardar", "{}: there was nothing to keep safe";
    Safe: "{}: lo que había quedó en {}", "{}: what was there is in {}";
    NotSafe: "{}: no se pudo resguardar lo que hay ({}); no se tocó nada. Si ya no sirve: --without-safety-copy", "{}: what is there could not be copied ({}); nothing was touched. If it is of no use any more: --without-safety-copy";
    Proofs: "{}: con las constancias de clientes borrados que trae la copia", "{}: with the proofs of deleted tenants that the copy brings";
    Followed: "{}: y la bitácora del servidor hasta {}", "{}: and the server's binary log up to {}";
    Done: "{}: restaurada la copia {} e igual a lo que se respaldó: {} renglones, en {} s", "{}: copy {} restored and equal to what was dumped: {} rows, in {} s";
    HeldOn: "{}: la retención legal que estaba en pie desde {} sigue en pie; la copia es de antes", "{}: the legal hold that stood since {} goes on standing; the copy is older";
    LockedOn: "{}: el bloqueo que estaba en pie desde {} sigue en pie; la copia es de antes", "{}: the lockdown that stood since {} goes on standing; the copy is older";
    StandingUnknown: "no se pudo leer la base que había: si había una retención legal o un bloqueo después de la copia, póngalo otra vez ({} db hold, lockdown)", "the database that was there could not be read: if a legal hold or a lockdown began after the copy, begin it again ({} db hold, lockdown)";
    Failed: "{}: no se pudo restaurar: {}", "{}: could not be restored: {}";
    HalfDone: "{}: una restauración empezó y no terminó; la base puede estar a medias. Restaure otra vez: {} restore (si sabe que la base está completa, borre {})", "{}: a restore began and did not end; the database may hold half of a copy. Restore again: {} restore (if you know that the database is whole, remove {})";
    Next: "Siga: systemctl start satellite; después {} restore --report y sentinel checklist --after-restore", "Go on: systemctl start satellite; then {} restore --report and sentinel checklist --after-restore";

    // The report.
    NeverRestored: "aquí no se ha restaurado nada", "nothing was restored here";
    Line: "{}: {} (comprometido: {})", "{}: {} (promised: {})";
    RpoBefore: "RPO antes de volver a pedir", "RPO before asking again";
    RpoAfter: "RPO después de volver a pedir", "RPO after asking again";
    Rto: "RTO, hasta recibir otra vez", "RTO, until taking in again";
    NotYet: "todavía no: el Programa Satélite no ha arrancado desde entonces", "not yet: satellite has not started since";
    CameBack: "{}: volvieron {} registros de antes de la restauración", "{}: {} records from before the restore came back";
    Open: "{}: falta de {} desde {} hasta {} ({})", "{}: missing of {} from {} to {} ({})";
    NothingOpen: "no falta nada de lo que los dispositivos todavía tienen", "nothing is missing of what the terminals still hold";
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
