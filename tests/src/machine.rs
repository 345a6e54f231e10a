//! Network namespaces that stand for machines of their own. They need root, and are gone with the
//! value; nothing outside of them is changed but the ends of wires that lead into them.

use anyhow::{Context, Result, ensure};

/// A machine with a network of its own.
#[derive(Debug)]
pub struct Machine {
    name: String,
}

impl Machine {
    /// Makes one whose name begins so; the rest of the name is this process's number.
    ///
    /// # Errors
    /// Namespaces cannot be made here, or one has that name.
    pub fn new(begins: &str) -> Result<Self> {
        let name = format!("{begins}{}", std::process::id());
        ip(&format!("netns add {name}"))?;
        let machine = Self { name };
        machine.ip("link set lo up")?;
        Ok(machine)
    }

    /// Lays a wire from here to it, with these addresses, such as `10.197.0.1/30`, at its ends. The
    /// machine's end is called `wire`.
    ///
    /// # Errors
    /// It cannot be laid, or the addresses are in use.
    pub fn wired(self, here: &str, there: &str) -> Result<Self> {
        let name = &self.name;
        ip(&format!(
            "link add {name} type veth peer name wire netns {name}"
        ))?;
        ip(&format!("addr add {here} dev {name}"))?;
        ip(&format!("link set {name} up"))?;
        self.ip(&format!("addr add {there} dev wire"))?;
        self.ip("link set wire up")?;
        Ok(self)
    }

    /// Its name, for `ip netns exec`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` with these words in it.
    ///
    /// # Errors
    /// It failed; what it said.
    pub fn ip(&self, words: &str) -> Result<()> {
        ip(&format!("-n {} {words}", self.name))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With the namespace goes every wire that ends in it.
        ip(&format!("netns del {}", self.name)).ok();
    }
}

/// Runs `ip` with these words.
///
/// # Errors
/// It failed; what it said.
fn ip(words: &str) -> Result<()> {
    let output = std::process::Command::new("ip")
        .args(words.split(' '))
        .output()
        .context("ip")?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ip {words}: {error}");
    Ok(())
}
