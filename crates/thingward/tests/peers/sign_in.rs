//! Signing in at a certified OpenID Connect provider, with curl as the browser.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::common::{Place, Running, given, have, shown, succeeds};
use crate::script;

const SECRET: &str = "what-the-provider-knows-us-by";
/// What the session signs with: RFC 8032 §7.1, test 1.
const KEY: &str = "MCowBQYDK2VwAyEA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// A provider that signs in whoever comes as `jo`, and its port. It ends when its input does.
fn provider(place: &Place, modules: &str) -> (Running, u16) {
    let file = |name: &str| shown(&place.path(name)).to_owned();
    let make = |name: &str, more: &[&str]| {
        let (key, certificate) = (file(&format!("{name}.key")), file(&format!("{name}.pem")));
        let subject = format!("/CN={name}");
        let mut arguments =
            vec!["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        arguments.extend(["-days", "2", "-keyout", &key, "-out", &certificate, "-subj", &subject]);
        succeeds("openssl", &[arguments.as_slice(), more].concat());
    };
    make("provider-ca", &[]);
    let (ca, ca_key) = (file("provider-ca.pem"), file("provider-ca.key"));
    let leaf = ["-CA", &ca, "-CAkey", &ca_key, "-addext", "subjectAltName=DNS:localhost"];
    make("provider", &[leaf.as_slice(), &["-addext", "basicConstraints=critical,CA:FALSE"]].concat());
    let redirect = format!("{}/api/v1/sign-in/oidc/corp/callback", place.url);
    // Node has been seen to listen and never say so.
    let start = || {
        let mut child = Command::new("node")
            .args([
                script("oidc_provider.mjs").as_str(),
                modules,
                &file("provider.pem"),
                &file("provider.key"),
            ])
            .args([redirect.as_str(), SECRET])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let (told, port) = mpsc::channel();
        // It gives advice about its settings, too, and ends when nobody reads it.
        std::thread::spawn(move || says.for_each(|line| drop(line.parse().map(|port| told.send(port)))));
        let child = Running(child);
        port.recv_timeout(Duration::from_secs(20)).ok().map(|port| (child, port))
    };
    (0..3).find_map(|_| start()).unwrap()
}

fn configure(place: &Place, port: u16) {
    use std::os::unix::fs::PermissionsExt;
    let secret = place.path("provider.secret");
    std::fs::write(&secret, SECRET).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut config = std::fs::File::options().append(true).open(&place.config).unwrap();
    write!(
        config,
        "[service.oidc.corp]\nname = \"Corp\"\ntenant = \"acme\"\nissuer = \"https://localhost:{port}\"\n\
         client_id = \"rs\"\nclient_secret_file = \"{}\"\nroots = \"{}\"\n\
         [service.oidc.corp.roles]\nreaders = \"viewer\"\ncooks = \"operator\"\n",
        shown(&secret),
        shown(&place.path("provider-ca.pem")),
    )
    .unwrap();
}

#[test]
fn somebody_signs_in_at_a_certified_provider_and_is_what_the_provider_says() {
    let Some(modules) = given("THINGWARD_NODE_MODULES") else { return };
    if !have(&["node", "openssl", "curl"]) {
        return;
    }
    let place = Place::new();
    let (mut provider, port) = provider(&place, &modules);
    configure(&place, port);
    let _service = place.service(&["acme"]);
    let roots = place.path("both.pem");
    let both =
        ["data/root.pem", "provider-ca.pem"].map(|name| std::fs::read_to_string(place.path(name)).unwrap());
    std::fs::write(&roots, both.concat()).unwrap();
    let browser = |jar: &str, more: &[&str]| {
        let jar = place.path(jar);
        let common = [
            "--silent",
            "--show-error",
            "--cacert",
            shown(&roots),
            "--cookie",
            shown(&jar),
            "--cookie-jar",
            shown(&jar),
        ];
        succeeds("curl", &[common.as_slice(), more].concat())
    };
    let at = |path: &str| format!("{}/api/v1/{path}", place.url);
    let answer =
        |jar: &str, path: &str| -> Json { serde_json::from_str(&browser(jar, &[&at(path)])).unwrap() };
    assert_eq!(answer("jar", "sign-in")["providers"], json!([{"id": "corp", "name": "Corp"}]));
    let sign_in = |jar: &str| {
        browser(jar, &["--location", "--output", "/dev/null", &at(&format!("sign-in/oidc/corp?key={KEY}"))]);
        answer(jar, "session")
    };
    assert_eq!(answer("jar", "sign-in/oidc/corp")["error"]["code"], "invalid", "without a key");
    let session = sign_in("jar");
    assert_eq!((&session["tenant"], &session["by"]), (&json!("acme"), &json!("oidc")), "{session}");
    assert_eq!(session["user"]["name"], "jo");
    let roles = session["user"]["roles"].as_array().unwrap();
    assert!(
        roles.len() == 2 && roles.contains(&json!("viewer")) && roles.contains(&json!("operator")),
        "{session}"
    );
    assert_eq!(answer("jar", "tenants/acme/users")["error"]["code"], "not-permitted");
    assert!(answer("jar", "tenants/acme/devices")["items"].is_array());
    // At the next sign-in they are the same, whatever was done to their roles here meanwhile.
    place.done(&["user", "set", "jo", "--role", "administrator"]);
    assert_eq!(sign_in("other-jar")["user"], session["user"]);
    let users = place.done(&["user", "list"]);
    assert_eq!(users.as_array().unwrap().len(), 1, "{users}");
    // An answer of somebody else's sign-in, or of none, signs nobody in.
    let (forged, jar) = (at("sign-in/oidc/corp/callback?code=x&state=y"), "third-jar");
    let said =
        browser(jar, &["--output", "/dev/null", "--write-out", "%{http_code} %{redirect_url}", &forged]);
    assert_eq!(said, format!("303 {}/sign-in?error=sign-in-foreign", place.url));
    assert_eq!(answer(jar, "session")["error"]["code"], "no-token");
    // Who lost the last role there is let in no more, and what they had here is worth nothing.
    writeln!(provider.0.stdin.as_mut().unwrap(), "groups strangers").unwrap();
    assert_eq!(sign_in("fourth-jar")["error"]["code"], "no-token");
    assert_eq!(place.done(&["user", "list"])[0]["roles"], json!([]));
    assert_eq!(answer("jar", "tenants/acme/devices")["error"]["code"], "not-permitted");
    let log = place.done(&["audit", "list"]);
    let deeds: Vec<_> = log.as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
    for deed in ["user.add", "user.roles", "session.begin"] {
        assert!(deeds.contains(&deed), "{deed} is not in {deeds:?}");
    }
    assert!(!place.logs().contains(SECRET));
}
