//! The words of what lies around satellite: programs that get its events, brokers from which it
//! takes them, certificates, the mail path.

use super::commands::{INPUT, LETTERS, MAIL, OUTPUT, STATUS};
use super::kinds::{Row, Side};
use crate::kind::Kind;

/// See `table.rs`.
pub(super) const AROUND: &[Row] = &[
    (
        Kind::OutputStanding,
        Side::Application,
        OUTPUT,
        [
            "Las checadas no llegan al programa del cliente",
            "Están guardadas y esperan: revisar el programa que recibe, o reanudar la salida si está en pausa.",
        ],
        [
            "Punches do not reach the client's program",
            "They are stored and wait: check the program that receives, or resume the output if it is paused.",
        ],
    ),
    (
        Kind::OutputDeadLetters,
        Side::Application,
        LETTERS,
        [
            "El programa del cliente rechazó checadas",
            "Están guardadas: corregir lo que rechaza el programa y enviarlas otra vez.",
        ],
        [
            "The client's program refused punches",
            "They are stored: put right what the program refuses, and send them once more.",
        ],
    ),
    (
        Kind::BrokerFailing,
        Side::Ours,
        INPUT,
        [
            "Una checada de prueba no pasa por un broker",
            "El detalle dice qué eslabón falla: el broker, o lo que va de él al Programa Satélite.",
        ],
        [
            "A test punch does not get through a broker",
            "The detail says which link fails: the broker, or what lies between it and satellite.",
        ],
    ),
    (
        Kind::InputStanding,
        Side::Application,
        INPUT,
        [
            "No entran los registros de un broker",
            "El broker los conserva: `satellite doctor` dice qué falla (red, certificado, usuario, emisor sin alta).",
        ],
        [
            "Records of a broker do not come in",
            "The broker keeps them: `satellite doctor` says what fails (network, certificate, user, sender not enrolled).",
        ],
    ),
    (
        Kind::CertificateExpiring,
        Side::Server,
        STATUS,
        [
            "Un certificado está por vencer",
            "Renovarlo antes de la fecha indicada.",
        ],
        ["A certificate ends soon", "Renew it before the date shown."],
    ),
    (
        Kind::CertificateBad,
        Side::Server,
        STATUS,
        [
            "Un certificado venció o no es válido",
            "Renovarlo ahora; los dispositivos con TLS no pueden enviar.",
        ],
        [
            "A certificate has ended or is not valid",
            "Renew it now; terminals with TLS cannot send.",
        ],
    ),
    (
        Kind::MailQueue,
        Side::MailProvider,
        MAIL,
        [
            "Avisos en espera: el correo no sale",
            "Revisar los servidores de correo; los avisos están guardados y siguen intentando.",
        ],
        [
            "Alerts wait: mail does not leave",
            "Check the mail relays; alerts are kept and tried again.",
        ],
    ),
    (
        Kind::RelayFailing,
        Side::MailProvider,
        MAIL,
        [
            "Falla un servidor de correo; el otro funciona",
            "Revisar la cuenta y el servidor que falla.",
        ],
        [
            "One mail relay fails; another works",
            "Check the account and the relay that fails.",
        ],
    ),
    (
        Kind::MailDown,
        Side::MailProvider,
        MAIL,
        [
            "Ningún servidor de correo acepta avisos",
            "Revisar la cuenta de correo propia; usar el teléfono mientras tanto.",
        ],
        [
            "No mail relay takes alerts",
            "Check the mail account; use the telephone meanwhile.",
        ],
    ),
    (
        Kind::MailRoundTrip,
        Side::MailProvider,
        MAIL,
        [
            "El correo de prueba no regresa",
            "Revisar la bandeja, el correo no deseado y la cuenta.",
        ],
        [
            "Test mail does not come back",
            "Check the inbox, the spam folder and the account.",
        ],
    ),
    (
        Kind::LetterLost,
        Side::MailProvider,
        MAIL,
        [
            "Un aviso no se pudo entregar",
            "Corregir la dirección del contacto y avisarle por teléfono.",
        ],
        [
            "An alert could not be delivered",
            "Correct the contact's address and call them.",
        ],
    ),
];
