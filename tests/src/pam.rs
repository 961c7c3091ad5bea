//! /etc/pam.d of a laboratory.

/// The Primary block of common-auth, as pam-auth-update would write it. Accounts, sessions and the services' own files are the
/// host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PamStack {
    primary: Vec<String>,
    additional: Vec<String>,
}

impl PamStack {
    /// A machine that never heard of Hello.
    pub fn password() -> Self {
        Self {
            primary: vec!["[success=end default=ignore] pam_unix.so nullok try_first_pass".into()],
            additional: Vec::new(),
        }
    }

    /// Hello before the password, as the package's profile says.
    pub fn hello() -> Self {
        Self::hello_with("")
    }

    /// The same with arguments for the module.
    pub fn hello_with(arguments: &str) -> Self {
        let mut stack = Self::password();
        let line = format!("[success=end default=ignore] pam_hello.so {arguments}");
        stack.primary.insert(0, line.trim_end().to_owned());
        stack
    }

    /// The same as the profile for policies without passwords says.
    pub fn passwordless() -> Self {
        let mut stack = Self::password();
        stack.primary.insert(0, "[success=end perm_denied=die default=ignore] pam_hello.so".into());
        stack
    }

    /// The same as the profile says in which Hello's refusal is the end.
    pub fn fail_closed() -> Self {
        let mut stack = Self::password();
        stack.primary.insert(0, "[success=end user_unknown=ignore default=die] pam_hello.so".into());
        stack
    }

    /// One more module directly behind Hello; a line without its type, as `optional pam_exec.so …`. It meets what Hello left
    /// behind, and never runs when Hello succeeded.
    #[must_use]
    pub fn behind_hello(mut self, line: &str) -> Self {
        self.primary.insert(1.min(self.primary.len()), line.to_owned());
        self
    }

    /// One more module behind the block: it runs after every success.
    #[must_use]
    pub fn at_the_end(mut self, line: &str) -> Self {
        self.additional.push(line.to_owned());
        self
    }

    /// `end` counts the modules that are left, deny included, as pam-auth-update does it.
    pub(crate) fn common_auth(&self) -> String {
        let count = self.primary.len();
        let mut text = String::new();
        for (at, line) in self.primary.iter().enumerate() {
            text += &format!("auth\t{}\n", line.replace("=end", &format!("={}", count - at)));
        }
        text += "auth\trequisite\tpam_deny.so\nauth\trequired\tpam_permit.so\n";
        for line in &self.additional {
            text += &format!("auth\t{line}\n");
        }
        text
    }
}

/// Where this machine keeps its modules: the directory of the architecture, which PAM searches for names without a path.
///
/// # Panics
/// Where there are no libraries.
pub fn modules() -> String {
    let libraries = std::fs::read_dir("/usr/lib").expect("/usr/lib is there");
    let found = libraries
        .flatten()
        .map(|entry| entry.path().join("security"))
        .find(|path| path.join("pam_unix.so").exists());
    found.map_or_else(|| "/usr/lib/security".to_owned(), |path| path.to_string_lossy().into_owned())
}

/// For pamtester: asks, and changes nothing.
pub(crate) const TEST_SERVICE: &str = "@include common-auth\n@include common-account\n@include common-password\n\
                                       @include common-session-noninteractive\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_jumps_over_everything_up_to_deny() {
        let text = PamStack::hello_with("debug").behind_hello("optional pam_echo.so").common_auth();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "auth\t[success=3 default=ignore] pam_hello.so debug");
        assert_eq!(lines[1], "auth\toptional pam_echo.so");
        assert_eq!(lines[2], "auth\t[success=1 default=ignore] pam_unix.so nullok try_first_pass");
        assert_eq!(lines[3], "auth\trequisite\tpam_deny.so");
        assert_eq!(lines[4], "auth\trequired\tpam_permit.so");
    }
}
