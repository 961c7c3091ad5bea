//! The pages that a person sees: plain forms, and beside them the `$Config` from which programs tell what is asked.

use serde_json::json;

use crate::random;
use crate::state::nonces::Purpose;
use crate::state::sign_ins::{Asks, Page, Wanted};
use crate::state::tokens::SignIn;
use crate::state::{Dialect, World};
use crate::web::{Answer, escape};

/// Sends a page out; what comes back with its token is its answer.
pub(crate) fn ask(
    world: &mut World,
    asks: Asks,
    wanted: Wanted,
    sign_in: Option<SignIn>,
    error: Option<(u32, &str)>,
) -> Answer {
    let (token, canary) = (random::opaque::<48>("AQABIQEAAAA"), random::opaque::<24>(""));
    let user = sign_in.as_ref().map(|sign_in| sign_in.upn.clone()).unwrap_or_default();
    let page = Page { asks, canary: canary.clone(), wanted, sign_in };
    world.sign_ins.pages.insert(token.clone(), page);
    let (id, post, title, fields) = match asks {
        Asks::UserCode => (
            "ConvergedDeviceAuth",
            "/common/oauth2/deviceauth",
            "Enter the code shown on your device",
            &[("otc", "Code", "text")][..],
        ),
        Asks::Password => (
            "ConvergedSignIn",
            "/common/login",
            "Sign in",
            &[("login", "Name", "email"), ("passwd", "Password", "password")][..],
        ),
        Asks::SecondFactor => (
            "ConvergedTFA",
            "/common/SAS/ProcessAuth",
            "Enter the code sent to your telephone",
            &[("otc", "Code", "text")][..],
        ),
        Asks::StaySignedIn => ("KmsiInterrupt", "/kmsi", "Stay signed in?", &[][..]),
    };
    let nonce = world.new_nonce(Purpose::SignIn(Dialect::Entra));
    let config = json!({
        "pgid": id, "urlPost": post, "sFT": token, "sFTName": "flowToken", "canary": canary, "sCanaryTokenName": "canary",
        "sErrorCode": error.map(|(code, _)| code.to_string()), "sErrTxt": error.map(|(_, text)| text), "sPOST_Username": user,
        "bsso": {"nonce": nonce}, "sTenantId": world.tenant.id,
    });
    let fields: String = fields
        .iter()
        .map(|(name, label, kind)| {
            let value = if *kind == "email" { escape(&user) } else { String::new() };
            format!(r#"<p><label>{label} <input type="{kind}" name="{name}" value="{value}"></label></p>"#)
        })
        .collect();
    let error = error.map_or(String::new(), |(_, text)| format!(r#"<p role="alert">{}</p>"#, escape(text)));
    let form = format!(
        r#"<form method="post" action="{post}">{error}{fields}<input type="hidden" name="flowToken" value="{token}">
<input type="hidden" name="canary" value="{canary}"><button type="submit">Next</button></form>"#
    );
    Answer::html(200, document(title, &config.to_string(), &form))
}

/// The end of a way: nothing more can be typed.
pub(crate) fn error(status: u16, code: u32, text: &str) -> Answer {
    let message = format!("AADSTS{code}: {text}");
    let config = json!({
        "pgid": "ConvergedError", "sErrorCode": code.to_string(), "strMainMessage": "Sorry, but we\u{2019}re having trouble signing you in.",
        "strAdditionalMessage": text, "strServiceExceptionMessage": message,
    });
    Answer::html(status, document("Sign in", &config.to_string(), &format!("<p>{}</p>", escape(&message))))
}

/// The second factor has to be set up first, and not here.
pub(crate) fn proof_up(code: u32, text: &str) -> Answer {
    let config = json!({"pgid": "ConvergedProofUpRedirect", "sErrorCode": code.to_string(), "strMainMessage": text,
        "urlProofUp": "https://mysignins.microsoft.com/register"});
    Answer::html(
        200,
        document("More information required", &config.to_string(), &format!("<p>{}</p>", escape(text))),
    )
}

pub(crate) fn done(title: &str) -> Answer {
    Answer::html(200, document(title, "{}", ""))
}

/// `response_mode=form_post`: the browser posts the answer by itself.
pub(crate) fn post_back(to: &str, members: &[(&str, &str)]) -> Answer {
    let fields: String = members
        .iter()
        .map(|(name, value)| format!(r#"<input type="hidden" name="{name}" value="{}">"#, escape(value)))
        .collect();
    let body = format!(
        r#"<html><head><title>Working...</title></head><body><form method="POST" name="hiddenform" action="{}">{fields}
<noscript><button type="submit">Submit</button></noscript></form><script>document.forms[0].submit();</script></body></html>"#,
        escape(to)
    );
    Answer::html(200, body)
}

/// A redirect by script, as some pages of Entra end.
pub(crate) fn by_script(to: &str) -> Answer {
    let quoted = json!(to).to_string().replace('<', "\\u003c");
    Answer::html(
        200,
        format!(
            "<html><head><script>document.location.replace({quoted});</script></head><body></body></html>"
        ),
    )
}

/// `</script>` inside a string of the configuration would end it.
fn document(title: &str, config: &str, body: &str) -> String {
    let config = config.replace('<', "\\u003c");
    format!(
        "<!DOCTYPE html><html><head><title>{title}</title><script type=\"text/javascript\">//<![CDATA[\n$Config={config};\n//]]></script>\
</head><body><h1>{title}</h1>{body}</body></html>"
    )
}
