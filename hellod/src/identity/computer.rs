//! A computer signs in by itself at the directory of its domain, with a Kerberos ticket of its own account (RFC 4559): so an AD FS
//! knows whom it registers ([MS-DVRJ] 3.1.5.1.1.2).

use std::time::Duration;

use hello_words::tr;
use thiserror::Error;
use zeroize::Zeroizing;

use super::oauth::{SignIn, succeeded};
use super::{DirectoryError, Permit};
use crate::online::{Field, Header, Hosts, Keytab, KeytabError, Request};

/// Why it does not. `Display` is what an administrator reads.
#[derive(Debug, Error)]
pub enum NotAsComputer {
    /// The directory doesn't take the ticket.
    #[error("{}", tr!("The directory does not take the Kerberos ticket of {account}. Is this computer still in its domain, and is the \
         name of the directory's host that of the account under which it runs (setspn -Q HOST/NAME)?", account))]
    Refused {
        /// The account of this computer, with its realm.
        account: String,
    },
    /// It asks for something else than a ticket.
    #[error("{}", tr!("The directory asks this computer for something other than a Kerberos ticket ({ways}).", ways))]
    OtherWays {
        /// What it asks for, in the names of HTTP.
        ways: String,
    },
    /// It shows a page for people.
    #[error("{}", tr!("The directory shows a page for people where this computer has a Kerberos ticket. Its administrators say from whom \
         it takes tickets (Set-AdfsProperties -WIASupportedUserAgents, with MSAuthHost/1.0/In-Domain among them). A proxy \
         before it that serves the outside does the same."))]
    AsksPeople,
    /// It leads from page to page.
    #[error("{}", tr!("The directory leads from page to page and to no end."))]
    NoEnd,
    /// What should be the computer's keys is something else.
    #[error("{0}")]
    NoKeys(#[from] KeytabError),
}

impl SignIn<'_> {
    /// Signs the computer in, with 64 random octets: what a browser does in Windows, where nobody is asked anything. Whoever
    /// AD FS takes for such a browser, it sends on to where it asks for a ticket.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn by_ticket(
        &self,
        random: &Zeroizing<[u8; 64]>,
        keytab: &Keytab,
    ) -> Result<Permit, DirectoryError> {
        let browser = self.authorization(random, &[]);
        let hosts = Hosts::parse(&self.endpoints.hosts)?;
        let mut address = hosts.address(browser.address())?;
        for _ in 0..MOST_PAGES {
            let page = || -> Result<Request, DirectoryError> {
                let name = Zeroizing::new(IN_DOMAIN.to_owned());
                let page = Request::get(&hosts, address.as_str())?.with(Header::UserAgent, name)?;
                Ok(page.by_http_1().within(FOR_A_PAGE))
            };
            let mut response = self.online.fetch(page()?).await?;
            if response.status == 401 {
                let ways = response.header(Field::WwwAuthenticate).unwrap_or_default();
                if !is_negotiate(ways) {
                    let ways = ways.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(99).collect();
                    return Err(NotAsComputer::OtherWays { ways }.into());
                }
                response = self.online.fetch_with_ticket(page()?.as_computer(keytab.clone())?).await?;
            }
            match (response.status, response.header(Field::Location)) {
                (301..=303 | 307 | 308, Some(location)) if browser.ends_at(location) => {
                    return self.redeem_address(&browser, location).await;
                }
                (301..=303 | 307 | 308, Some(location)) => address = hosts.redirected(&address, location)?,
                (401, _) => return Err(NotAsComputer::Refused { account: keytab.account().into() }.into()),
                (400.., _) => succeeded(response).map(drop)?,
                _ => return Err(NotAsComputer::AsksPeople.into()),
            }
        }
        Err(NotAsComputer::NoEnd.into())
    }
}

/// Whether a ticket is asked for; there may be other ways beside it (RFC 9110 §11.6.1).
fn is_negotiate(challenges: &str) -> bool {
    challenges.split(',').any(|challenge| challenge.trim().eq_ignore_ascii_case("negotiate"))
}

/// Whom AD FS asks for a ticket and not for a password, unless its administrators have made another list of such names: the
/// browser of Windows' own sign-ins, in the domain.
const IN_DOMAIN: &str = "MSAuthHost/1.0/In-Domain";
/// How long one of its pages may take, the ticket included: all of them together keep an administrator waiting for less than
/// helloctl waits.
const FOR_A_PAGE: Duration = Duration::from_secs(10);
/// How many pages there can be from the first to the last.
const MOST_PAGES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_asked_for_among_other_ways_in_any_order() {
        for (challenges, is_one) in [
            ("Negotiate", true),
            ("negotiate, NTLM", true),
            ("NTLM, Negotiate", true),
            ("Basic realm=\"Negotiate\"", false),
            ("NegotiateX", false),
            ("", false),
        ] {
            assert_eq!(is_negotiate(challenges), is_one, "{challenges}");
        }
    }
}
