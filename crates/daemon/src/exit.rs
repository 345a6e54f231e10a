//! The exit statuses that operators, units and scripts rely on.
//!
//! One place, so that no program invents a fourth. The statuses leave through `main`'s return
//! value: ending the process anywhere else would skip the drain.

use std::process::ExitCode;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for was done (0).
    Fine,
    /// It was tried and failed; trying again may help (1).
    Failed,
    /// The configuration is wrong and trying again cannot help (78, `EX_CONFIG` of
    /// `sysexits.h`). The unit does not restart after it.
    Config,
}

impl Exit {
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_statuses_are_those_that_the_unit_and_the_manual_name() {
        let codes = [Exit::Fine, Exit::Failed, Exit::Config].map(Exit::code);
        assert_eq!(codes, [0, 1, 78]);
        // ExitCode has no accessor and no equality; its Debug text is all there is to see.
        assert_eq!(
            format!("{:?}", ExitCode::from(Exit::Config)),
            format!("{:?}", ExitCode::from(78))
        );
    }
}
