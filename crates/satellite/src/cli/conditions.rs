//! What the conditions of devices mean and what to do about them, in Spanish and in English.
//!
//! The names are the daemon's (`/status`, `satellite_device_conditions`) and the same as in the
//! manuals; a test holds this table against them. SERIAL and PROGRAM are filled in, and commands
//! that enrol the device again are written out with all that is known of it, so that they can be
//! copied; what only the reader knows stands in them in capitals.

use event::Vendor;
use store::registry::Enrolment;

use super::words::{Lang, Speaks as _, Word};

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
    of: &Enrolment,
    program: &str,
) -> Option<(String, String)> {
    let told = TABLE.iter().find(|told| told.name == name)?;
    let (means, advice) = match lang {
        Lang::Es => told.es,
        Lang::En => told.en,
    };
    let again = Again { lang, of, program };
    let filled = |text: &str| {
        text.replace("ADD_ADDRESS", &again.with_address())
            .replace("ADD_SECRET", &again.with_secret())
            .replace("ADD_REPLACE", &again.replaced())
            .replace("SERIAL", of.serial.as_str())
            .replace("PROGRAM", program)
    };
    Some((filled(means), filled(advice)))
}

/// The command that enrols a device again, with what has to be different.
struct Again<'a> {
    lang: Lang,
    of: &'a Enrolment,
    program: &'a str,
}

impl Again<'_> {
    /// At another address.
    fn with_address(&self) -> String {
        let address = self.lang.say(Word::AddressHere, &[]);
        let file = self.of.access.secret_file.as_deref();
        format!("{}{}", self.base(), self.reached(&address, file))
    }

    /// With another file of its password.
    fn with_secret(&self) -> String {
        let file = self.lang.say(Word::FileHere, &[]);
        let address = self.of.access.address.as_deref();
        let address = address.map_or_else(|| self.lang.say(Word::AddressHere, &[]), str::to_owned);
        format!("{}{}", self.base(), self.reached(&address, Some(&file)))
    }

    /// As other hardware under the same serial, reached as before.
    fn replaced(&self) -> String {
        let access = &self.of.access;
        let dialled = access.address.as_deref();
        let file = access.secret_file.as_deref();
        let reached = dialled.map(|address| self.reached(address, file));
        let posts = access.token_hash.as_ref().map_or("", |_| " --listen");
        let reached = reached.unwrap_or_default();
        format!("{}{reached}{posts} --replace", self.base())
    }

    fn base(&self) -> String {
        let Enrolment {
            tenant,
            vendor,
            serial,
            ..
        } = self.of;
        let program = self.program;
        format!("{program} devices add --tenant {tenant} --vendor {vendor} --serial {serial}")
    }

    fn reached(&self, address: &str, file: Option<&str>) -> String {
        let mut options = format!(" --address {address}");
        if self.of.vendor == Vendor::Hikvision {
            let user = self.of.access.user.as_deref().map(str::to_owned);
            let user = user.unwrap_or_else(|| self.lang.say(Word::UserHere, &[]));
            options.push_str(&format!(" --user {user}"));
        }
        let needed = self.of.vendor == Vendor::Hikvision;
        let file = file.map(str::to_owned);
        if let Some(file) = file.or_else(|| needed.then(|| self.lang.say(Word::FileHere, &[]))) {
            options.push_str(&format!(" --secret-file {file}"));
        }
        options
    }
}

const TABLE: &[Told] = &[
    Told {
        name: "new_network",
        es: (
            "Habló desde una red desde la que nunca había hablado.",
            "Si el sitio cambió de proveedor de internet, no hay que hacer nada. Si no, alguien puede estar usando su número de serie: PROGRAM devices block SERIAL, y avise al sitio.",
        ),
        en: (
            "It spoke from a network from which it never spoke before.",
            "If the site has a new internet provider there is nothing to do. Else somebody may be using its serial: PROGRAM devices block SERIAL, and tell the site.",
        ),
    },
    Told {
        name: "unreachable",
        es: (
            "No se puede conectar con el dispositivo en su dirección.",
            "Revise que esté encendido, la dirección y el puerto, la VPN o la redirección de puertos y el cortafuegos. Para otra dirección: ADD_ADDRESS",
        ),
        en: (
            "No connection to the device at its address.",
            "Check power, address and port, the VPN or port forwarding, and the firewall. For another address: ADD_ADDRESS",
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
            "Ponga el archivo en /etc/satellite/secrets (0640, grupo satellite), o dé otro: ADD_SECRET",
        ),
        en: (
            "The file with the device's password is not there or cannot be read.",
            "Put the file into /etc/satellite/secrets (0640, group satellite), or name another: ADD_SECRET",
        ),
    },
    Told {
        name: "mapping_unfit",
        es: (
            "De su último envío no se pudo interpretar nada: no hay mapeo para su serie, o el que hay no es el de su marca. Lo que envió está en revisión.",
            "Corrija el archivo de mapeo o agregue [[mapping]] a la configuración, revise con PROGRAM check y recargue; después: PROGRAM quarantine replay --serial SERIAL",
        ),
        en: (
            "Nothing of its last post could be read: there is no mapping for its serial, or it is one of another make. What it sent is in quarantine.",
            "Correct the mapping file or add [[mapping]] to the configuration, run PROGRAM check and reload; then: PROGRAM quarantine replay --serial SERIAL",
        ),
    },
    Told {
        name: "wrong_device",
        es: (
            "En su dirección responde otro dispositivo, u otro envía con su URL. Sus registros no se guardan.",
            "Revise la dirección y la serie. Cada dispositivo lleva su propia URL; si se cambió el equipo: ADD_REPLACE",
        ),
        en: (
            "Another device answers at its address, or posts with its URL. Its records are not stored.",
            "Check address and serial. Each device has its own URL; for exchanged hardware: ADD_REPLACE",
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
            "Si no hay VPN, exporte los registros del dispositivo. Si la hay, dé también su dirección y se completa solo: ADD_ADDRESS",
        ),
        en: (
            "Numbers are missing in what the device has posted, and it cannot be asked for them.",
            "Without a VPN, export the device's records. With one, give its address too and the gap closes by itself: ADD_ADDRESS",
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
        name: "post_too_large",
        es: (
            "Un envío fue más largo de lo que hace falta para cualquier evento.",
            "Hikvision: desactive las fotos en los envíos; los eventos que venían antes se guardaron, y lo que no se leyó está en revisión (PROGRAM quarantine list --serial SERIAL). ZKTeco: suba limits.body; el reloj conserva sus registros hasta entonces.",
        ),
        en: (
            "A post was longer than any event has to be.",
            "Hikvision: switch pictures off in its posts; the events before them were stored, and what was not read stands in quarantine (PROGRAM quarantine list --serial SERIAL). ZKTeco: raise limits.body; the terminal keeps its records until then.",
        ),
    },
    Told {
        name: "answers_unusable",
        es: (
            "El dispositivo contesta, pero con errores o con algo que no se puede leer; se le sigue preguntando.",
            "Revise los permisos de la cuenta en el dispositivo (registros de eventos, parámetros) y si está sobrecargado; reinícielo. Si sigue igual, anote modelo y firmware (PROGRAM devices show SERIAL) y repórtelos.",
        ),
        en: (
            "The device answers, and what it answers is an error or cannot be read; it is asked again and again.",
            "Check what its account may do (event logs, parameters) and whether it is overloaded; restart it. If it stays so, note model and firmware (PROGRAM devices show SERIAL) and report them.",
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
    Told {
        name: "duplicate_serial",
        es: (
            "El mismo número de serie envía desde dos lugares a la vez. Se guarda lo de ambos, como si fuera uno.",
            "Busque el segundo equipo (una copia, o alguien que se hace pasar por él) en las direcciones del aviso. Con dos líneas de internet a la vez es normal.",
        ),
        en: (
            "The same serial sends from two places at once. What both send is stored, as if it were one.",
            "Look for the second device (a clone, or somebody who pretends) at the addresses in the note. With two internet lines in use at once it is normal.",
        ),
    },
    Told {
        name: "records_missing",
        es: (
            "Falta por guardar un tramo de lo que el dispositivo registró. Se le pide de nuevo cada hora, y en cuanto se comunica.",
            "Si no está en línea, que vuelva a estarlo: lo demás es automático. Si dice tener más de lo que entrega, saque sus registros por USB antes de borrarle nada. Pedirlo ya: PROGRAM backfill SERIAL --from DESDE --to HASTA",
        ),
        en: (
            "A window of what the terminal recorded is not stored. It is asked for again every hour, and as soon as it speaks.",
            "If it is not online, bring it back: the rest happens by itself. If it counts more than it hands out, take its records by USB before anything in it is cleared. To ask now: PROGRAM backfill SERIAL --from FROM --to TO",
        ),
    },
    Told {
        name: "no_session",
        es: (
            "Acepta la conexión y no contesta: casi siempre otro programa ocupa su única conexión.",
            "Cierre ZKTime, BioTime o ZKAccess en otras máquinas. En modo servidor en la nube (ADMS) muchos relojes no atienden el puerto 4370: entonces que envíe él. Después de un corte puede tardar unos minutos en soltar la conexión anterior; reiniciarlo la suelta.",
        ),
        en: (
            "It takes the connection and does not answer: almost always another program holds its only one.",
            "Close ZKTime, BioTime or ZKAccess on other machines. In cloud-server mode (ADMS) many terminals do not serve port 4370: then let it push. After a cut it can take minutes to let go of the old connection; a restart lets go at once.",
        ),
    },
    Told {
        name: "comm_key_refused",
        es: (
            "El reloj pide una clave de comunicación y la nuestra falta o es otra.",
            "Menú del reloj → Comunicación → Conexión con PC → Clave de comunicación. Ponga ese número en el archivo; un archivo cambiado se nota solo. Si todavía no hay archivo: ADD_SECRET",
        ),
        en: (
            "The terminal wants a communication key, and ours is missing or another one.",
            "Terminal menu → Comm. → PC Connection → Comm Key. Put that number into the file; a changed file is noticed by itself. Where there is no file yet: ADD_SECRET",
        ),
    },
    Told {
        name: "secure_pull",
        es: (
            "Su firmware solo habla la forma cifrada del protocolo del puerto 4370.",
            "Configúrelo para que envíe (servidor en la nube, ADMS), o permita en su menú de comunicación el protocolo anterior (standalone) si lo tiene.",
        ),
        en: (
            "Its firmware speaks only the encrypted form of the protocol on port 4370.",
            "Set it to push (cloud server, ADMS), or allow the older standalone protocol in its communication menu where it has that.",
        ),
    },
    Told {
        name: "access_panel",
        es: (
            "En su dirección contesta un panel de acceso C3 o inBio, no un reloj.",
            "Quite la dirección o corríjala. Los paneles se conectan por envío de acceso, si su firmware lo tiene.",
        ),
        en: (
            "A C3 or inBio access panel answers at its address, not a terminal.",
            "Remove or correct the address. Panels come by access push where their firmware has it.",
        ),
    },
    Told {
        name: "log_unreadable",
        es: (
            "Su memoria se lee, pero no se sabe cómo están hechos sus registros, o se niega a darla. No se guarda nada adivinado.",
            "El reloj conserva todo. Anote modelo y firmware (PROGRAM devices show SERIAL) y repórtelos; mientras tanto, que envíe él si puede.",
        ),
        en: (
            "Its log comes and the layout of its records is in doubt, or it refuses to give it. Nothing guessed is stored.",
            "The terminal keeps everything. Note model and firmware (PROGRAM devices show SERIAL) and report them; let it push meanwhile where it can.",
        ),
    },
    Told {
        name: "log_cleared",
        es: (
            "Su memoria se borró, o dio la vuelta antes de que se leyera.",
            "Averigüe quién la borró y cuándo. Lo ya guardado no se pierde; lo que se borró sin leerse ya no existe.",
        ),
        en: (
            "Its log was cleared, or ran over before it was read.",
            "Find out who cleared it and when. What was stored stays; what was erased unread is gone.",
        ),
    },
    Told {
        name: "counts_disagree",
        es: (
            "Dice tener más registros de los que entrega.",
            "Ya se leyó dos veces. Reinicie el reloj; si sigue igual, exporte sus registros por USB y compare.",
        ),
        en: (
            "It counts more records than it hands out.",
            "It was read twice already. Restart the terminal; if it stays so, export its records by USB and compare.",
        ),
    },
    Told {
        name: "people_unresolved",
        es: (
            "Hay registros de personas que ya no están en su lista de usuarios.",
            "Están en revisión (PROGRAM quarantine list --serial SERIAL) y se guardan solos si la persona vuelve a la lista. Si se borró del reloj, dé de alta el mismo PIN.",
        ),
        en: (
            "There are records of people who are not in its user list.",
            "They are in quarantine (PROGRAM quarantine list --serial SERIAL) and are stored by themselves when the person is in the list again. If the person was deleted, enrol the same PIN.",
        ),
    },
    Told {
        name: "log_nearly_full",
        es: (
            "La memoria de registros del dispositivo está casi llena. Al llenarse, unos modelos borran lo más antiguo y otros dejan de checar.",
            "No falta nada todavía. Compruebe que lo guardado esté completo (PROGRAM cutoff) y después borre la memoria en el menú del dispositivo: Menú → Gestión de datos → Eliminar registros de asistencia.",
        ),
        en: (
            "The device's log is nearly full. Once full, some models drop the oldest records and others take no more punches.",
            "Nothing is missing yet. See that what is stored is complete (PROGRAM cutoff), then delete the log in the device's menu: Menu → Data Mgt. → Delete attendance data.",
        ),
    },
    Told {
        name: "clock_skew",
        es: (
            "El reloj del dispositivo difiere más de un minuto del nuestro. Las checadas se guardan con la hora que él dice; nada se corrige.",
            "Ajuste la hora y la zona en el dispositivo, o deje que la tome de aquí (set_clock). Si todos difieren lo mismo, revise primero el reloj de este equipo.",
        ),
        en: (
            "The device's clock is off by more than a minute. Punches are stored with the time it says; nothing is corrected.",
            "Set time and zone in the device, or let it take them from here (set_clock). If all are off by the same, look at this machine's clock first.",
        ),
    },
    Told {
        name: "registry_loop",
        es: (
            "El dispositivo se registra una y otra vez: no toma su código de registro.",
            "Reinícielo. Si sigue, conéctelo sin proxy: un proxy que cambia las respuestas lo causa. Vea PROGRAM trace SERIAL",
        ),
        en: (
            "The terminal registers again and again: it does not take its registry code.",
            "Restart it. If that does not help, connect it without a proxy: one that changes replies is the cause. See PROGRAM trace SERIAL",
        ),
    },
    Told {
        name: "remote_verification",
        es: (
            "El dispositivo pregunta al servidor si abre la puerta, y la puerta espera.",
            "Apague la verificación remota en Control de acceso → Opciones; el dispositivo decide solo.",
        ),
        en: (
            "The terminal asks the server whether to open its door, and the door waits.",
            "Switch remote verification off under Access Control, Options; the terminal then decides by itself.",
        ),
    },
    Told {
        name: "encryption_wanted",
        es: (
            "El dispositivo quiere cifrar su sesión con un método secreto de su fabricante.",
            "Apague el cifrado en COM. → Configuración del servidor en la nube. Si el menú no lo permite, léalo por el puerto 4370.",
        ),
        en: (
            "The terminal wants to encrypt its session by its vendor's secret method.",
            "Switch encryption off under COMM., Cloud Server Setting. Where the menu does not allow that, read it over port 4370.",
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
        let device = device();
        let told = |lang, name| told(lang, name, &device, "s --config x");
        let (_, advice) = told(Lang::Es, "listening_host_changed").unwrap();
        assert!(
            advice.ends_with("s --config x devices configure HIK0000001"),
            "{advice}"
        );
        assert_eq!(told(Lang::En, "of_a_newer_daemon"), None);
    }

    fn device() -> Enrolment {
        Enrolment {
            id: event::DeviceId([1; 16]),
            vendor: Vendor::Hikvision,
            serial: event::Serial::new("HIK0000001").unwrap(),
            tenant: event::TenantId::new("acme").unwrap(),
            state: store::registry::EnrolmentState::Approved,
            name: None,
            site: None,
            time_zone: None,
            canary: false,
            accept_from: None,
            created_at: event::Millis(0),
            access: store::registry::Access {
                address: Some("10.8.0.20:80".into()),
                user: Some("events".into()),
                secret_file: Some("k1".into()),
                ..Default::default()
            },
        }
    }

    #[test]
    fn commands_in_advice_can_be_copied_and_ask_only_for_what_the_reader_alone_knows() {
        let device = device();
        let ends = |name: &str, end: &str| {
            let (_, advice) = told(Lang::Es, name, &device, "s").unwrap();
            assert!(advice.ends_with(end), "{advice}");
        };
        let add = "s devices add --tenant acme --vendor hikvision --serial HIK0000001";
        let kept = "--user events --secret-file k1";
        ends(
            "unreachable",
            &format!("{add} --address HOST:PUERTO {kept}"),
        );
        let another = "--address 10.8.0.20:80 --user events --secret-file ARCHIVO";
        ends("secret_missing", &format!("{add} {another}"));
        ends(
            "wrong_device",
            &format!("{add} --address 10.8.0.20:80 {kept} --replace"),
        );
        for told in TABLE {
            for text in [told.es.1, told.en.1] {
                let bare = ["devices add con", "devices add with", "devices add again"];
                assert!(!bare.iter().any(|bare| text.contains(bare)), "{text}");
            }
        }
    }
}
