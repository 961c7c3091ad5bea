//! How somebody signs in at a directory.

/// A way to sign in at a directory, to have something registered there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In a browser, whose last address comes back.
    Browser,
    /// By a code that is typed into a browser anywhere.
    Code,
    /// By name and password.
    Password,
    /// They have already, and the program has the token.
    Token,
    /// Nobody does, but the computer itself, by its account in the domain.
    Computer,
}

impl Way {
    /// Its word on the bus, which is empty for whatever the directory leaves open.
    #[must_use]
    pub const fn word(way: Option<Self>) -> &'static str {
        match way {
            None => "",
            Some(Self::Browser) => "browser",
            Some(Self::Code) => "code",
            Some(Self::Password) => "password",
            Some(Self::Token) => "token",
            Some(Self::Computer) => "computer",
        }
    }

    /// Reads such a word; nothing for another.
    #[must_use]
    pub fn parse(word: &str) -> Option<Option<Self>> {
        let ways = [Self::Browser, Self::Code, Self::Password, Self::Token, Self::Computer];
        let mut ways = std::iter::once(None).chain(ways.map(Some));
        ways.find(|way| Self::word(*way) == word)
    }
}
