//! Broken configurations, and what is said about them.

use thingward_service::node::Objects;

use super::{TEMPLATE, parse, witness_template};

/// The example in the template of what has no default.
const PROVIDER: &str = "# [service.oidc.corp]";
const PAYMENTS: &str = "# [service.payments]";
const CHIP: &str = "# [gateway.serial.door-1]";
const RADIO: &str = "# [gateway.radio.zwave-1]";
const HOME_ASSISTANT: &str = "# [gateway.home_assistant]";
const SCALE: &str = "# [scale]";

#[track_caller]
fn check(text: &str, want: &[&str]) {
    let got = parse("t.toml", text, None).err().unwrap_or_default();
    assert_eq!(got, want, "{text}");
}

#[test]
fn every_problem_is_named_with_file_line_key_and_what_would_be_right() {
    check(
        "[service]\nmqtt = \"8883\"",
        &["t.toml:2: service.mqtt: \"8883\" is not an address; write e.g. \"0.0.0.0:8883\""],
    );
    check(
        "[service]\ndata_dir = \"data\"\n\n[service.limits]\nqueue = \"4MB\"\nsessions = 0\n",
        &[
            "t.toml:2: service.data_dir: \"data\" is not an absolute path; write e.g. \"/var/lib/thingward\"",
            "t.toml:5: service.limits.queue: \"4MB\" is not a size with its unit; write e.g. \"64MiB\"",
            "t.toml:6: service.limits.sessions: 0 is not a number from 1 to 100000000; write e.g. 1000",
        ],
    );
    check(
        "[service.history]\nevery = 60\nage = \"0s\"",
        &[
            "t.toml:2: service.history.every: 60 is not a length of time with its unit; write e.g. \"30d\"",
            "t.toml:3: service.history.age: \"0s\" is not a length of time with its unit; write e.g. \"30d\"",
        ],
    );
    check(
        "[service.history]\nevrey = \"60s\"",
        &["t.toml:2: service.history.evrey: there is no such key; there are every, rows, age"],
    );
    check(
        "[sevrice]\n[device]\nhome = \"/d\"",
        &["t.toml:1: sevrice: there is no such section; there are [service], [gateway], [device], [witness]"],
    );
    let key = "w.test/1+54ea87f3+BAnF3";
    check(
        &format!("[service.log]\nwitnesses = [\"{key} https://w.test 00\"]\nquorum = 1"),
        &[
            &format!(
                "t.toml:2: service.log.witnesses: [\"{key} https://w.test 00\"] is not a list of different witnesses, \
                 each as VKEY URL FINGERPRINT; write e.g. what `thingward witness show` shows as `service`"
            ),
            "t.toml:3: service.log.quorum: 1 is not a number from 1 to that of the witnesses; write e.g. 2",
        ],
    );
    check(
        "[witness]\nlogs = [\"log\"]\nlisten = \"x\"",
        &[
            "t.toml:2: witness.logs: [\"log\"] is not a list of logs' keys; \
             write e.g. what `thingward audit key` shows as `key`",
            "t.toml:3: witness.listen: \"x\" is not an address; write e.g. \"0.0.0.0:8883\"",
        ],
    );
    check(
        "[service.oidc.corp]\ntenant = \"a/b\"\nissuer = \"http://id\"\nscopes = [\"a b\"]\n\n\
         [service.oidc.corp.roles]\nadmins = \"root\"\n\n[service.oidc.\"a/b\"]\n",
        &[
            "t.toml:1: service.oidc.corp.client_id: is missing; write e.g. \"thingward\"",
            "t.toml:1: service.oidc.corp.client_secret_file: is missing; \
             write e.g. \"/etc/thingward/corp.secret\"",
            "t.toml:2: service.oidc.corp.tenant: \"a/b\" is not the name of a tenant; write e.g. \"acme\"",
            "t.toml:3: service.oidc.corp.issuer: \"http://id\" is not an issuer; \
             write e.g. \"https://id.example.com\"",
            "t.toml:4: service.oidc.corp.scopes: [\"a b\"] is not a list of scopes; \
             write e.g. [\"profile\", \"groups\"]",
            "t.toml:7: service.oidc.corp.roles.admins: \"root\" is not administrator, operator, viewer or \
             auditor; write e.g. \"viewer\"",
            "t.toml:9: service.oidc: \"a/b\" is not a name",
        ],
    );
    check("service = 1", &["t.toml:1: service: is not a section; write [service]"]);
    check(
        "[service]\nnames = [\"-a\"]\naddresses = [\"localhost\"]\ntrust_domain = \"A b\"",
        &[
            "t.toml:2: service.names: [\"-a\"] is not a list of DNS names; \
             write e.g. [\"localhost\", \"thingward.example.com\"]",
            "t.toml:3: service.addresses: [\"localhost\"] is not a list of IP addresses; \
             write e.g. [\"127.0.0.1\", \"192.0.2.7\"]",
            "t.toml:4: service.trust_domain: \"A b\" is not a trust domain; write e.g. \"thingward.local\"",
        ],
    );
    check(
        "[device]\nsealed_for = \"me\"\ncipher = \"rot13\"\n[device.streams]\n\"a/b\" = \"service\"",
        &[
            "t.toml:2: device.sealed_for: \"me\" is not service or customer; write e.g. \"service\"",
            "t.toml:3: device.cipher: \"rot13\" is not aes-256-gcm, chacha20-poly1305 or ascon-aead128; \
             write e.g. \"aes-256-gcm\"",
            "t.toml:5: device.streams.a/b: \"service\" is not service or customer; write e.g. \"service\"",
        ],
    );
    check(
        "[gateway]\ncoap = \"5683\"",
        &[
            "t.toml:2: gateway.coap: \"5683\" is not an address or off; write e.g. \"0.0.0.0:5683\" or \"off\"",
        ],
    );
    check(
        "[gateway]\nrelay = \"on\"",
        &["t.toml:2: gateway.relay: \"on\" is not an address or off; write e.g. \"0.0.0.0:8443\" or \"off\""],
    );
    assert!(parse("t.toml", "[service\nmqtt = ", None).err().unwrap()[0].starts_with("t.toml:1: "));
}

#[test]
fn the_template_is_right_and_shows_what_holds_when_nothing_is_said() {
    let nothing = parse("nothing", "", None).ok().unwrap();
    let template = parse("template", TEMPLATE, None).ok().unwrap();
    assert_eq!(format!("{:?}", template.service.mqtt_limits), format!("{:?}", nothing.service.mqtt_limits));
    let is_key = |line: &str| line.starts_with("# ") && line.contains(" = ") && !line.contains(": ");
    let uncommented: String = TEMPLATE
        .split_inclusive("\n\n")
        .filter(|paragraph| {
            ![PROVIDER, PAYMENTS, CHIP, RADIO, HOME_ASSISTANT, SCALE]
                .iter()
                .any(|example| paragraph.contains(example))
        })
        .flat_map(str::lines)
        .map(|line| if is_key(line) { format!("{}\n", &line[2..]) } else { format!("{line}\n") })
        .filter(|line| !line.starts_with("uplink") && !line.starts_with("climate"))
        .collect();
    let uncommented = parse("uncommented", &uncommented, None).map_err(|e| e.join("\n"));
    let all = uncommented.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(format!("{:?}", all.service), format!("{:?}", nothing.service));
    assert_eq!(format!("{:?}", all.gateway.settings), format!("{:?}", nothing.gateway.settings));
    assert_eq!(format!("{:?}", all.witness), format!("{:?}", nothing.witness));
    assert_eq!((all.gateway.home, all.device.home), (nothing.gateway.home, nothing.device.home));
}

#[test]
fn the_example_of_a_provider_is_right_and_its_files_are_looked_at_when_asked() {
    let (_, example) = TEMPLATE.split_once(&format!("\n{PROVIDER}\n")).unwrap();
    let example = example.split_once("\n\n").unwrap().0.replace("# ", "");
    let text = format!("[service.oidc.corp]\n{example}");
    let config = parse("t.toml", &text, Some("t.toml".into()))
        .map_err(|e| e.join("\n"))
        .unwrap_or_else(|e| panic!("{e}"));
    let [provider] = &*config.service.oidc else { panic!("{:?}", config.service.oidc) };
    // What has a default is shown with it.
    let defaults = ["name", "roots", "scopes", "name_claim", "roles_claim"].map(|key| format!("{key} = "));
    let short: Vec<_> = text.lines().filter(|line| !defaults.iter().any(|d| line.starts_with(d))).collect();
    let short = parse("t.toml", &short.join("\n"), None).ok().unwrap().service.oidc;
    assert_eq!(short, [thingward_oidc::Settings { name: "corp".to_owned(), ..provider.clone() }]);
    let problems = config.problems_of_files();
    let missing = "t.toml: service.oidc.corp.client_secret_file: /etc/thingward/corp.secret: ";
    assert!(problems.len() == 1 && problems[0].starts_with(missing), "{problems:?}");
}

#[test]
fn the_configuration_of_a_new_witness_names_its_home() {
    let text = witness_template(std::path::Path::new("/a \"b\"/w"));
    let config =
        parse("witness", &text, None).map_err(|e| e.join("\n")).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(config.witness.home, std::path::Path::new("/a \"b\"/w"));
    assert!(text.contains("# logs = []") && !text.contains("[device]"), "{text}");
}

#[test]
fn the_example_of_payments_is_right_and_a_provider_elsewhere_is_none() {
    let (_, example) = TEMPLATE.split_once(&format!("\n{PAYMENTS}\n")).unwrap();
    let example = example.split_once("\n\n").unwrap().0.replace("# ", "");
    let read = |text: &str| parse("t.toml", &format!("[service.payments]\n{text}"), None);
    let payments = read(&example).ok().unwrap().service.payments.unwrap();
    assert_eq!(payments.testbed, "http://127.0.0.1:8487");
    let elsewhere = read(&example.replace("127.0.0.1", "192.0.2.1")).err().unwrap();
    assert!(elsewhere.join("\n").contains("is not `http` on this machine"), "{elsewhere:?}");
    let missing = read("testbed = \"http://localhost:8487\"").err().unwrap();
    assert!(missing.join("\n").contains("service.payments.api_key_file: is missing"), "{missing:?}");
}

#[test]
fn the_example_of_a_radio_is_right_and_one_that_makes_no_sense_is_none() {
    let (_, example) = TEMPLATE.split_once("\n# [gateway.radio.zwave-1]\n").unwrap();
    let keys = example.lines().take_while(|line| !line.is_empty()).filter(|line| line.contains(" = "));
    let keys: String = keys.map(|line| format!("{}\n", &line[2..])).collect();
    let read = |text: &str| parse("t.toml", &format!("[gateway.radio.zwave-1]\n{text}"), None);
    let config = read(&keys).map_err(|e| e.join("\n")).unwrap_or_else(|e| panic!("{e}"));
    let [radio] = &*config.gateway.settings.radios else { panic!("one radio") };
    assert_eq!((radio.name.as_str(), radio.kind.as_str()), ("zwave-1", "zwave"));
    assert_eq!(radio.names.len(), 1);
    for wrong in [
        "",
        "kind = \"zwave\"",
        "kind = \"wifi\"\nline = \"/dev/x\"",
        "kind = \"zwave\"\nline = \"ttyUSB0\"",
        "kind = \"zwave\"\nline = \"/dev/x\"\nthings = [\"c0ffee01-7 No Name\"]",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_example_of_a_chip_is_right_and_one_without_a_line_is_none() {
    let (_, example) = TEMPLATE.split_once(&format!("\n{CHIP}\n")).unwrap();
    let keys = example.lines().take_while(|line| !line.is_empty()).filter(|line| line.contains(" = "));
    let keys: String = keys.map(|line| format!("{}\n", &line[2..])).collect();
    let read = |text: &str| parse("t.toml", &format!("[gateway.serial.door-1]\n{text}"), None);
    let config = read(&keys).map_err(|e| e.join("\n")).unwrap_or_else(|e| panic!("{e}"));
    let [chip] = &*config.gateway.settings.serial else { panic!("one chip") };
    assert_eq!((chip.name.as_str(), chip.baud), ("door-1", 115_200));
    assert_eq!(chip.line, std::path::Path::new("/dev/ttyUSB0"));
    assert!(chip.claim_file.is_some() && chip.description.is_some() && chip.local_link.is_some());
    let wrong = read("baud = 5\nline = \"ttyUSB0\"").err().unwrap().join("\n");
    for said in
        ["gateway.serial.door-1.baud: 5 is not a speed in baud", "gateway.serial.door-1.line: \"ttyUSB0\""]
    {
        assert!(wrong.contains(said), "{wrong}");
    }
    assert!(read("").err().unwrap().join("\n").contains("gateway.serial.door-1.line: is missing"));
}

#[test]
fn the_example_of_a_home_assistant_is_right_and_a_broker_whose_certificate_nobody_vouches_for_is_none() {
    let (_, example) = TEMPLATE.split_once(&format!("\n{HOME_ASSISTANT}\n")).unwrap();
    let keys = example.lines().take_while(|line| !line.is_empty()).map(|line| format!("{}\n", &line[2..]));
    let keys: String = keys.collect();
    let read = |text: &str| parse("t.toml", &format!("[gateway.home_assistant]\n{text}"), None);
    let config = read(&keys).map_err(|e| e.join("\n")).unwrap_or_else(|e| panic!("{e}"));
    let home = config.gateway.settings.home_assistant.unwrap();
    assert_eq!((home.application.as_str(), home.prefix.as_str()), ("home-assistant", "homeassistant"));
    assert!(read("application = \"a\"\nbroker = \"tls:home:8883\"\nca_file = \"/ca.pem\"").is_ok());
    for wrong in [
        "application = \"a\"",
        "broker = \"tcp:localhost:1883\"",
        "application = \"a\"\nbroker = \"tls:home:8883\"",
        "application = \"a\"\nbroker = \"tcp:home:1883\"",
        "application = \"a b\"\nbroker = \"tcp:localhost:1883\"",
        "application = \"a\"\nbroker = \"tcp:localhost:1883\"\nprefix = \"a/b\"",
        "application = \"a\"\nbroker = \"tcp:localhost:1883\"\ncredentials_file = \"x\"",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_example_of_several_nodes_is_right_and_a_bucket_in_the_open_is_none() {
    let (_, example) = TEMPLATE.split_once(&format!("\n{SCALE}\n")).unwrap();
    let keys = example.lines().take_while(|line| !line.is_empty()).filter(|line| line.contains(" = "));
    let keys: String = keys.map(|line| format!("{}\n", &line[2..])).collect();
    let read = |text: &str| parse("t.toml", &format!("[scale]\n{text}"), None);
    let said = |text: &str| read(text).err().unwrap().join("\n");
    // With NATS there are no credentials for a bucket.
    assert!(said(&keys).contains("scale.objects_credentials_file: there is no such key"), "{}", said(&keys));
    let of = |place: &str| keys.replace("objects = \"nats\"", &format!("objects = \"{place}\""));
    let config = read(&of("https://s3.example/files?region=eu-1")).map_err(|e| e.join("\n"));
    let scale = config.unwrap_or_else(|e| panic!("{e}")).scale.unwrap();
    assert!(matches!(scale.objects, Objects::S3 { bucket, ca_file: Some(_), .. } if bucket.is_tls()));
    let without: String =
        keys.lines().filter(|line| !line.starts_with("objects")).map(|l| format!("{l}\n")).collect();
    assert_eq!(read(&without).ok().unwrap().scale.unwrap().objects, Objects::Nats);
    let here = format!("{without}objects = \"http://127.0.0.1:9000/files\"\n");
    assert!(said(&here).contains("scale.objects_credentials_file: is missing"), "{}", said(&here));
    for wrong in ["http://s3.example/files", "https://key:secret@s3.example/files", "s3://files", ""] {
        assert!(said(&of(wrong)).contains("http:// on this machine"), "{wrong}");
    }
}
