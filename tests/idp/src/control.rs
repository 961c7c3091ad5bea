//! What tests may do to the world: one JSON object per line on a UNIX socket, and one back. Never on the TLS port.

use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::adfs;
use crate::checks::Check;
use crate::clock::Seconds;
use crate::faults::Fault;
use crate::state::World;
use crate::state::sign_ins::Approval;
use crate::state::tokens::SignIn;

/// One order; `do` says which.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
enum Order {
    Now {},
    ClockSet {
        time: Seconds,
    },
    ClockAdvance {
        seconds: Seconds,
    },
    ClockFreeze {},
    Switch {
        set: Value,
    },
    Skip {
        check: String,
    },
    Enforce {
        check: String,
    },
    CreateUser {
        upn: String,
        password: String,
        second_factor: bool,
    },
    DeleteUser {
        upn: String,
    },
    EnableUser {
        upn: String,
        enabled: bool,
    },
    SetPassword {
        upn: String,
        password: String,
    },
    /// The last code that was sent to the user's telephone.
    SecondFactorCode {
        upn: String,
    },
    EnableDevice {
        id: String,
        enabled: bool,
    },
    /// The same person, by another name from now on.
    RenameUser {
        upn: String,
        to: String,
    },
    DeleteDevice {
        id: String,
    },
    DeleteKey {
        id: String,
    },
    /// All of a user's refresh tokens, primary ones too.
    Revoke {
        upn: String,
    },
    RevokeToken {
        token: String,
    },
    /// As if the user had typed the code elsewhere and signed in, with a second factor or without.
    ApproveDeviceCode {
        user_code: String,
        upn: String,
        mfa: bool,
    },
    DeclineDeviceCode {
        user_code: String,
    },
    /// Has a computer of that name in the domain.
    CreateComputer {
        name: String,
    },
    /// What a computer of that name would get of AD FS for its Kerberos ticket.
    ComputerToken {
        name: String,
    },
    Fault(Fault),
    ClearFaults {},
    /// What was requested since the start, or since it was last cleared.
    Requests {
        #[serde(default)]
        clear: bool,
    },
    Dump {},
}

/// Carries out one line.
pub(crate) fn obey(world: &mut World, line: &str) -> Value {
    let order = serde_json::from_str(line).map_err(|error| error.to_string());
    match order.and_then(|order| carry_out(world, order)) {
        Ok(answer) => json!({"ok": answer}),
        Err(error) => json!({"error": error}),
    }
}

fn carry_out(world: &mut World, order: Order) -> Result<Value, String> {
    let done = Ok(Value::Null);
    match order {
        Order::Now {} => return Ok(world.clock.now().into()),
        Order::ClockSet { time } => world.clock.set(time),
        Order::ClockAdvance { seconds } => world.clock.advance(seconds),
        Order::ClockFreeze {} => world.clock.freeze(),
        Order::Switch { set } => switch(world, &set)?,
        Order::Skip { check } => drop(world.skipped.insert(Check::from_str(&check)?)),
        Order::Enforce { check } => drop(world.skipped.remove(&Check::from_str(&check)?)),
        Order::CreateUser { upn, password, second_factor } => {
            let user = world.people.create(&upn, &password, second_factor);
            return Ok(json!({"oid": user.oid, "sid": user.sid}));
        }
        Order::DeleteUser { upn } => world.people.delete(&upn),
        Order::EnableUser { upn, enabled } => user(world, &upn)?.enabled = enabled,
        Order::RenameUser { upn, to } => {
            to.to_ascii_lowercase().clone_into(&mut user(world, &upn)?.upn);
            world.tokens.rename(&upn, &to);
            world.devices.rename(&upn, &to);
        }
        Order::SetPassword { upn, password } => {
            let user = user(world, &upn)?;
            user.password = password;
            user.password_version += 1;
        }
        Order::SecondFactorCode { upn } => {
            let sent = user(world, &upn)?.sent.as_ref().ok_or("no code was sent")?;
            return Ok(sent.digits.as_str().into());
        }
        Order::EnableDevice { id, enabled } => {
            world.devices.find_mut(&id).ok_or("no such device")?.enabled = enabled
        }
        Order::DeleteDevice { id } => world.devices.find_mut(&id).ok_or("no such device")?.deleted = true,
        Order::DeleteKey { id } => {
            return world.devices.delete_key(&id).then_some(Value::Null).ok_or("no such key".into());
        }
        Order::Revoke { upn } => return Ok(world.tokens.revoke_all(&upn).into()),
        Order::RevokeToken { token } => world.tokens.revoke(&token),
        Order::ApproveDeviceCode { user_code, upn, mfa } => approve(world, &user_code, &upn, mfa)?,
        Order::DeclineDeviceCode { user_code } => {
            world.sign_ins.by_user_code(&user_code).ok_or("no such code")?.state = Approval::Declined;
        }
        Order::CreateComputer { name } => drop(world.computers.create(&name).sid.clone()),
        Order::ComputerToken { name } => {
            world.computers.create(&name);
            return Ok(adfs::computer_token(world, &format!("{name}$")).into());
        }
        Order::Fault(fault) => world.faults.add(fault),
        Order::ClearFaults {} => world.faults.clear(),
        Order::Requests { clear } => {
            let log = if clear { std::mem::take(&mut world.log) } else { world.log.clone() };
            return Ok(log.into());
        }
        Order::Dump {} => return Ok(world.dump()),
    }
    done
}

fn user<'a>(world: &'a mut World, upn: &str) -> Result<&'a mut crate::state::people::User, String> {
    world.people.find_mut(upn).ok_or("no such user".into())
}

/// Some of the switches, the others as they were.
pub(crate) fn switch(world: &mut World, set: &Value) -> Result<(), String> {
    let mut all = serde_json::to_value(&world.switches).map_err(|error| error.to_string())?;
    for (name, value) in set.as_object().ok_or("switches are an object")? {
        all[name] = value.clone();
    }
    world.switches = serde_json::from_value(all).map_err(|error| error.to_string())?;
    Ok(())
}

fn approve(world: &mut World, user_code: &str, upn: &str, mfa: bool) -> Result<(), String> {
    let at = world.clock.now();
    let user = user(world, upn)?;
    let (upn, password) = (user.upn.clone(), Some(user.password_version));
    let code = world.sign_ins.by_user_code(user_code).ok_or("no such code")?;
    let mfa = mfa.then_some(at);
    let to_register = mfa.is_some() && code.needs.fresh_mfa;
    code.state = Approval::Approved(SignIn {
        upn,
        at,
        password,
        key: false,
        computer: None,
        device: None,
        mfa,
        to_register,
    });
    Ok(())
}
