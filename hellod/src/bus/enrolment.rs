//! `org.hellod.Hello1.Enrolment`.

use std::sync::Arc;

use hello_dbus::client::Wish;
use hello_dbus::finger::Finger;
use hello_dbus::{BusError, Way, WireStep};
use hello_words::tr;
use zbus::{interface, message};

use super::desk::{Desk, account};
use crate::jobs::Job;

/// What a person does with an enrolment.
#[derive(Debug)]
pub(super) struct Enrolment(pub(super) Arc<Desk>);

#[interface(name = "org.hellod.Hello1.Enrolment")]
impl Enrolment {
    async fn enroll(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        user: &str,
        way: &str,
    ) -> Result<(u64, WireStep), BusError> {
        self.begin(&header, version, Wish::Enroll(of_a_person(way)?), user).await
    }

    async fn enroll_locally(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        user: &str,
    ) -> Result<(u64, WireStep), BusError> {
        self.begin(&header, version, Wish::EnrollLocally, user).await
    }

    async fn offer(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        user: &str,
    ) -> Result<(u64, WireStep), BusError> {
        self.begin(&header, version, Wish::Offer, user).await
    }

    async fn change_pin(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        user: &str,
    ) -> Result<(u64, WireStep), BusError> {
        self.begin(&header, version, Wish::ChangePin, user).await
    }

    async fn reset(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        user: &str,
        way: &str,
    ) -> Result<(u64, WireStep), BusError> {
        self.begin(&header, version, Wish::Reset(of_a_person(way)?), user).await
    }

    async fn renew(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        user: &str,
    ) -> Result<(u64, WireStep), BusError> {
        self.begin(&header, version, Wish::Renew, user).await
    }

    async fn unenroll(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        user: &str,
    ) -> Result<(u64, WireStep), BusError> {
        self.begin(&header, version, Wish::Unenroll, user).await
    }

    async fn keep_password(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        user: &str,
    ) -> Result<(u64, WireStep), BusError> {
        self.begin(&header, version, Wish::KeepPassword, user).await
    }

    async fn forget_password(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        user: &str,
    ) -> Result<(u64, WireStep), BusError> {
        self.begin(&header, version, Wish::ForgetPassword, user).await
    }

    async fn add_finger(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        user: &str,
        finger: &str,
    ) -> Result<(u64, WireStep), BusError> {
        self.begin(&header, version, Wish::AddFinger(one_of_ten(finger)?), user).await
    }

    async fn remove_finger(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        user: &str,
        finger: &str,
    ) -> Result<(u64, WireStep), BusError> {
        self.begin(&header, version, Wish::RemoveFinger(one_of_ten(finger)?), user).await
    }

    async fn list_fingers(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        user: &str,
    ) -> Result<(u64, WireStep), BusError> {
        self.begin(&header, version, Wish::ListFingers, user).await
    }
}

impl Enrolment {
    async fn begin(
        &self,
        header: &message::Header<'_>,
        version: u32,
        wish: Wish,
        user: &str,
    ) -> Result<(u64, WireStep), BusError> {
        let visitor = self.0.receive(header).await?;
        let account = account(&visitor.caller, user).await?;
        self.0
            .converse(visitor, (version, &account.name.clone()), |caller, terminal| Job::Wish {
                wish,
                caller,
                account,
                terminal,
            })
            .await
    }
}

/// A finger, where one is named.
fn one_of_ten(word: &str) -> Result<Option<Finger>, BusError> {
    if word.is_empty() {
        return Ok(None);
    }
    let unknown = || BusError::InvalidArgument(tr!("there is no such finger").to_string());
    Finger::parse(word).map(Some).ok_or_else(unknown)
}

/// The way in which a person may sign in to have a key registered: nobody's token tells that they are there, and the computer
/// is no person.
fn of_a_person(word: &str) -> Result<Option<Way>, BusError> {
    match Way::parse(word) {
        Some(way @ (None | Some(Way::Browser | Way::Code | Way::Password))) => Ok(way),
        _ => Err(BusError::InvalidArgument(tr!("there is no such way to sign in").to_string())),
    }
}
