//! What the conditions of devices mean and what to do about them, in Spanish and in English.
//!
//! The names are the daemon's (`/status`, `satellite_device_conditions`) and the same as in the
//! manuals; a test holds this table against them. SERIAL and PROGRAM are filled in, so that a
//! command can be copied as it stands.

use super::words::Lang;

/// One condition for people.
struct Told {
    name: &'static str,
    /// What it means, and what to do.
    es: (&'static str, &'static str),
    en: (&'static str, &'static str),
}

/// What a condition means and what to do, for this device. A name of a newer daemon has none.
pub(crate) fn told(
    lang: Lang,
    name: &str,
    serial: &str,
    program: &str,
) -> Option<(String, String)> {
    let told = TABLE.iter().find(|told| told.name == name)?;
    let (means, advice) = match lang {
        Lang::Es => told.es,
        Lang::En => told.en,
    };
    let filled = |text: &str| text.replace("SERIAL", serial).replace("PROGRAM", program);
    Some((filled(means), filled(advice)))
}

const TABLE: &[Told] = &[
    Told {
        name: "unreachable",
        es: (
            "No se puede conectar con el dispositivo en su dirección.",
            "Revise que esté encendido, la dirección y el puerto, la VPN o la redirección de puertos y el cortafuegos. Para otra dirección: repita PROGRAM devices add con --address.",
        ),
        en: (
            "No connection to the device at its address.",
            "Check power, address and port, the VPN or port forwarding, and the firewall. For another address: PROGRAM devices add again with --address.",
        ),
    },
    Told {
        name: "login_refused",
        es: (
            "El dispositivo rechaza el usuario o la contraseña. No se vuelve a intentar antes de que termine su bloqueo (unos 30 minutos).",
            "Corrija el archivo de la contraseña o la cuenta en el dispositivo. Un archivo cambiado se nota solo; no pruebe contraseñas a mano, cada intento alarga el bloqueo.",
        ),
        en: (
            "The device refuses user or password. Nothing is tried before its lock time is over (about 30 minutes).",
            "Correct the password's file, or the account in the device. A changed file is noticed by itself; do not try passwords by hand, each try makes the lock longer.",
        ),
    },
    Told {
        name: "secret_missing",
        es: (
            "El archivo con la contraseña del dispositivo no está o no se puede leer.",
            "Ponga el archivo en /etc/satellite/secrets (0640, grupo satellite), o repita PROGRAM devices add con --secret-file.",
        ),
        en: (
            "The file with the device's password is not there or cannot be read.",
            "Put the file into /etc/satellite/secrets (0640, group satellite), or PROGRAM devices add again with --secret-file.",
        ),
    },
    Told {
        name: "wrong_device",
        es: (
            "En su dirección responde otro dispositivo, u otro envía con su URL. Sus registros no se guardan.",
            "Revise la dirección y la serie. Cada dispositivo lleva su propia URL; si se cambió el equipo: PROGRAM devices add con --replace.",
        ),
        en: (
            "Another device answers at its address, or posts with its URL. Its records are not stored.",
            "Check address and serial. Each device has its own URL; for exchanged hardware: PROGRAM devices add with --replace.",
        ),
    },
    Told {
        name: "arming_slot_taken",
        es: (
            "Otro programa (iVMS-4200, un NVR, una sesión anterior) ocupa la única conexión de eventos en vivo.",
            "No falta nada: la búsqueda trae todo en segundos. Para tener el aviso en vivo, cierre el otro programa o reinicie el dispositivo.",
        ),
        en: (
            "Another program (iVMS-4200, an NVR, an old session) holds the only connection for live events.",
            "Nothing is missing: the search brings everything within seconds. For the live stream close the other program, or restart the device.",
        ),
    },
    Told {
        name: "search_unsupported",
        es: (
            "No se puede buscar por número de registro: no se puede comprobar que no falte nada.",
            "Actualice el firmware si hay uno que lo permita. En cámaras y grabadores es normal.",
        ),
        en: (
            "It cannot be searched by record number, so that completeness cannot be proven.",
            "Update the firmware if one can do it. With cameras and recorders this is normal.",
        ),
    },
    Told {
        name: "ring_overrun",
        es: (
            "La memoria del dispositivo dio la vuelta antes de que se leyeran registros: esos ya no existen.",
            "Anote el hueco. Revise por qué estuvo tanto tiempo sin contacto.",
        ),
        en: (
            "The device's memory ran over before records were fetched: those are gone.",
            "Note the gap. Find out why it was without contact for so long.",
        ),
    },
    Told {
        name: "serials_restarted",
        es: (
            "El dispositivo empezó a contar de nuevo: lo restablecieron o borraron sus registros.",
            "Averigüe quién y cuándo. Lo nuevo se guarda sin repetir; lo que se borró sin haberse leído se cuenta como perdido.",
        ),
        en: (
            "The device began to count again: it was reset, or its log was cleared.",
            "Find out who and when. What is new is stored without doubles; what was erased unread counts as lost.",
        ),
    },
    Told {
        name: "gap_in_posts",
        es: (
            "Faltan números entre lo que el dispositivo ha enviado, y no se le pueden pedir.",
            "Si hay VPN, dé también su dirección y se completa solo: PROGRAM devices add con --address, --user y --secret-file. Si no, exporte los registros del dispositivo.",
        ),
        en: (
            "Numbers are missing in what the device has posted, and it cannot be asked for them.",
            "Where there is a VPN, give its address too and the gap closes by itself: PROGRAM devices add with --address, --user and --secret-file. Else export the device's records.",
        ),
    },
    Told {
        name: "own_footprints",
        es: (
            "Más del 5 % de sus registros nuevos son huellas de nuestras propias conexiones.",
            "El programa ya pregunta con menos frecuencia. Cierre otros programas que entren al dispositivo y revise si su red se corta.",
        ),
        en: (
            "More than 5 % of its new records are traces of our own logins.",
            "It is asked less often already. Close other programs that log in, and see whether its network breaks.",
        ),
    },
    Told {
        name: "listening_host_changed",
        es: (
            "El dispositivo ya no tiene configurada nuestra dirección de escucha HTTP.",
            "Escríbala de nuevo: PROGRAM devices configure SERIAL",
        ),
        en: (
            "The device does not have our HTTP listening address any more.",
            "Write it again: PROGRAM devices configure SERIAL",
        ),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_of_the_daemon_is_explained_and_no_other() {
        let mut known: Vec<_> = TABLE.iter().map(|told| told.name).collect();
        let mut names = satellite::conditions::names().to_vec();
        known.sort_unstable();
        names.sort_unstable();
        assert_eq!(known, names);
    }

    #[test]
    fn both_manuals_explain_every_condition() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        for manual in ["OPERATIONS.md", "es/operacion.md"] {
            let text = std::fs::read_to_string(folder.join(manual)).unwrap();
            for told in TABLE {
                assert!(
                    text.contains(&format!("| `{}` |", told.name)),
                    "{} in {manual}",
                    told.name
                );
            }
        }
    }

    #[test]
    fn advice_names_the_device_and_the_program_as_it_was_called() {
        let (_, advice) = told(
            Lang::Es,
            "listening_host_changed",
            "HIK0000001",
            "s --config x",
        )
        .unwrap();
        assert!(
            advice.ends_with("s --config x devices configure HIK0000001"),
            "{advice}"
        );
        assert_eq!(told(Lang::En, "of_a_newer_daemon", "A", "s"), None);
    }
}
