//! What `tenant delete` and `tenant deleted` say, in Spanish and in English.

use crate::cli::words::texts;

texts! {
    Says;

    // Before anything is done.
    WouldGo: "{}: se borrarían {} renglones de {} dispositivos", "{}: {} rows of {} terminals would go";
    Table: "    {}, {}: {}", "    {}, {}: {}";
    FileGoes: "    se borraría el archivo {}", "    the file {} would go";
    Holds: "    lo conserva hasta el {}: {} ({})", "    holds it until {}: {} ({})";
    HoldsOn: "    lo conserva hasta que alguien lo quite: {} ({})", "    holds it until somebody removes it: {} ({})";
    Copy: "copia de seguridad", "copy";
    SafetyCopy: "resguardo de una restauración", "kept safe by a restore";
    ShippedLog: "bitácora enviada del servidor", "shipped binary log";
    ServerLog: "bitácora del servidor de la base", "binary log of the database server";
    OtherFile: "archivo entregado o cambiado", "file that was handed over or changed";
    NoCopies: "    no hay [backup]: de copias hechas de otra manera no se sabe nada", "    there is no [backup]: nothing is known of copies made by other means";
    NothingThere: "{}: no hay nada guardado", "{}: nothing is stored";
    NothingDone: "No se hizo nada. Primero entregue sus datos: {} tenant export --tenant {}. Para borrarlo: {} tenant delete --tenant {} --yes {}", "Nothing was done. Hand the data over first: {} tenant export --tenant {}. To delete it: {} tenant delete --tenant {} --yes {}";
    NotTyped: "no se hizo nada: se confirma con --yes {}", "nothing was done: it is confirmed with --yes {}";

    // What stands against it.
    Sends: "{}: {} dispositivos todavía pueden enviar ({}); bloquéelos primero: {} devices block {}", "{}: {} terminals could still send ({}); block them first: {} devices block {}";
    Outputs: "{}: tiene salidas ({}); quítelas de la configuración y recárguela (systemctl reload satellite)", "{}: it has outputs ({}); take them out of the configuration and reload it (systemctl reload satellite)";
    Accepts: "{}: enrolment.accept_into le daría otra vez los dispositivos que sigan enviando; cámbielo primero", "{}: enrolment.accept_into would give it the terminals again that go on sending; change it first";
    Locked: "{}: hay un bloqueo en pie; termine primero: {} lockdown off", "{}: a lockdown stands; end it first: {} lockdown off";
    InJournal: "{}: {} envíos esperan todavía en el diario local; deje en marcha el Programa Satélite hasta que estén en la base", "{}: {} posts still wait in the journal; let satellite run until they are in the database";
    OtherBegun: "la baja de {} empezó y no terminó; termínela primero: {} tenant delete --tenant {} --yes {}", "the deletion of {} began and did not end; end it first: {} tenant delete --tenant {} --yes {}";
    NotNamed: "la configuración ya no nombra la base {}, de la que se iba a borrar; póngala otra vez hasta que termine", "the configuration no longer names the database {}, which was to be deleted from; put it back until this has ended";
    Denied: "{}: esta cuenta no puede borrar ({}); use una configuración que indique satellite_admin de grants.sql: satellite --config ARCHIVO tenant delete …", "{}: this account may not delete ({}); use a configuration that names satellite_admin of grants.sql: satellite --config FILE tenant delete …";

    // While it is done.
    GoesOn: "{}: la baja que empezó {} el {} sigue", "{}: the deletion that {} began on {} goes on";
    StillServed: "el Programa Satélite en marcha no ha tomado el cambio; vea que llegue a la base ({} doctor) y repita esta orden", "the running satellite has not taken the change over; see that it reaches the database ({} doctor), then repeat this command";
    ComesBack: "{}: siguen llegando renglones ({}); vea quién escribe todavía y repita esta orden", "{}: rows keep coming ({}); see who still writes, then repeat this command";
    CannotWrite: "no se puede escribir en {}: {}; repita después esta orden", "{} cannot be written: {}; repeat this command afterwards";
    ChainBroken: "{}: el renglón {} no es lo que se escribió; no se agrega nada hasta saber quién lo cambió", "{}: line {} is not what was written; nothing is added until it is known who changed it";

    // Afterwards.
    Gone: "{}: borrado; {} renglones antes, 0 después, leídos por otra conexión", "{}: deleted; {} rows before, 0 after, read over another connection";
    Proven: "constancia {} en {}, SHA-256 {}", "proof {} in {}, SHA-256 {}";
    Next: "Siga: quite [[tenant]] {} de la configuración. Las constancias: {} tenant deleted", "Go on: take [[tenant]] {} out of the configuration. The proofs: {} tenant deleted";
    Rewritten: "el archivo se escribió de nuevo; en sus bytes no queda nada", "the file was written anew; nothing is left in its bytes";
    OnServer: "las páginas las reutiliza el servidor; hasta entonces pueden conservar restos", "the server uses its pages again; until then they may keep remains";

    // The proofs.
    NoneDeleted: "aquí no se ha borrado ningún cliente", "no tenant was deleted here";
    Begun: "{}: la baja empezó el {} y no terminó; repita: {} tenant delete --tenant {} --yes {}", "{}: the deletion began on {} and did not end; repeat: {} tenant delete --tenant {} --yes {}";
    WasDeleted: "{} {}: borrado el {} por {}; {} renglones antes, {} después; SHA-256 {}", "{} {}: deleted on {} by {}; {} rows before, {} after; SHA-256 {}";
    HeldNowhere: "    ya no lo conserva ninguna copia conocida", "    no known copy holds it any more";
    ChainWhole: "la cadena está completa: {} constancias", "the chain is whole: {} proofs";

    // After a restore.
    GoneAgain: "{}: la copia traía al cliente {}, borrado el {}; se borró otra vez ({} renglones)", "{}: the copy held the tenant {}, deleted on {}; it was deleted again ({} rows)";
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
