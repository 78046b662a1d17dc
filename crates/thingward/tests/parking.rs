//! The parking meter for strangers, whole: a real service, a real meter of the simulation, a test provider of payments,
//! and whoever stands before the bay. `docs/parking.md` has the table of what they cannot do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Place, Running, free_port, shown, wait_for};
use serde_json::{Value as Json, json};

/// A card that pays.
const CARD: &str = "4242424242424242";

/// A city with one meter at 2.40 EUR an hour.
struct City {
    place: Place,
    console: u16,
    link: u16,
    device_key: String,
    service: Option<Running>,
    meter: Option<Running>,
    payments: Option<Running>,
    testbed: u16,
    home: Option<tempfile::TempDir>,
}

impl City {
    fn new() -> Self {
        let [console, testbed, link] = [(); 3].map(|()| free_port());
        let home = tempfile::tempdir().unwrap();
        let place = Place::with(&format!(
            "[service.console]\norigins = [\"http://localhost:{console}\"]\nloopback = \"127.0.0.1:{console}\"\n\
             [service.payments]\ntestbed = \"http://127.0.0.1:{testbed}\"\n\
             api_key_file = \"{0}/api.key\"\nwebhook_secret_file = \"{0}/webhook.secret\"",
            home.path().display()
        ));
        let mut city = Self {
            place,
            console,
            link,
            device_key: String::new(),
            service: None,
            meter: None,
            payments: None,
            testbed,
            home: None,
        };
        city.start_payments(shown(home.path()));
        city.home = Some(home);
        city.service = Some(city.place.service(&["acme"]));
        city.place.enrol("acme", "device", "meter-1");
        city.start_meter();
        wait_for("the description", || city.place.run(&["command", "actions", "meter-1"]).0 == 0);
        let status = city.place.done(&["device", "status", "--home", shown(&city.place.path("meter-1"))]);
        city.device_key = status["key"].as_str().unwrap().to_owned();
        city.offer("2.40 EUR");
        city
    }

    fn start_payments(&mut self, home: &str) {
        let (port, webhook) =
            (self.testbed.to_string(), format!("http://127.0.0.1:{}/api/v1/payments/webhook", self.console));
        let arguments = ["payment-testbed", "--home", home, "--port", &port, "--webhook", &webhook];
        self.payments = Some(self.place.start_as("payments", &arguments));
        wait_for("the provider", || TcpStream::connect(("127.0.0.1", self.testbed)).is_ok());
    }

    fn start_meter(&mut self) {
        let (home, link) = (self.place.path("meter-1"), format!("127.0.0.1:{}", self.link));
        let kind = ["--simulate", "parking-meter", "--local-link", &link];
        let arguments = ["device", "run", "--home", shown(&home)];
        self.meter = Some(self.place.start_as("meter-1", &[arguments.as_slice(), &kind].concat()));
        wait_for("the local link", || TcpStream::connect(("127.0.0.1", self.link)).is_ok());
    }

    fn offer(&self, price: &str) -> Json {
        let words = ["offer", "set", "meter-1", "--start", "park", "--end", "leave", "--price", price];
        self.place.done(
            &[&words[..], &["--per", "60", "--most", "120", "--notice", "We keep which key parked."]]
                .concat(),
        )
    }

    fn person(&self, name: &str) -> (String, std::path::PathBuf) {
        let file = self.place.path(name);
        let made = self.place.done(&["grant", "key", shown(&file)]);
        (made["holder"].as_str().unwrap().to_owned(), file)
    }

    /// What the service says to whoever has no account.
    fn ask(&self, method: &str, path: &str, body: &Json) -> (u16, Json) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = http(self.console, method, &format!("/api/v1/near/acme/meter-1{path}"), &body);
        (status, serde_json::from_str(&answer).unwrap_or_default())
    }

    /// Buys so many minutes, and gives the purchase and the file with its grant.
    fn buys(&self, holder: &str, minutes: u64, file: &str) -> (String, std::path::PathBuf) {
        let page = format!("http://localhost:{}/near#x", self.console);
        let body = json!({"quantity": minutes, "holder": holder, "return_url": page});
        let (status, made) = self.ask("POST", "/purchases", &body);
        assert_eq!(status, 201, "{made}");
        let checkout = made["checkout"].as_str().unwrap().split_once("/checkout/").unwrap().1;
        http(self.testbed, "POST", &format!("/checkout/{checkout}"), &format!("card={CARD}"));
        let id = made["id"].as_str().unwrap().to_owned();
        wait_for("the grant", || self.purchase(&id)["grant"].is_string());
        let path = self.place.path(file);
        std::fs::write(&path, self.purchase(&id)["grant"].as_str().unwrap()).unwrap();
        (id, path)
    }

    fn purchase(&self, id: &str) -> Json {
        self.ask("GET", &format!("/purchases/{id}"), &Json::Null).1
    }

    fn uses(&self, grant: &std::path::Path, key: &std::path::Path, what: &[&str]) -> (i32, Json) {
        let at = format!("127.0.0.1:{}", self.link);
        let words = [
            "grant",
            "use",
            shown(grant),
            "--key",
            shown(key),
            "--at",
            &at,
            "--device-key",
            &self.device_key,
        ];
        self.place.run(&[&words[..], what].concat())
    }

    #[track_caller]
    fn is_refused(&self, (code, said): (i32, Json), want: &str) {
        assert!(code != 0 && said.to_string().contains(want), "{code} {said}, not {want}");
    }
}

fn http(port: u16, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    // Small answers come in one piece.
    (status, body.to_owned())
}

#[test]
fn a_stay_is_paid_begun_extended_and_ended_early_at_the_price_that_was_paid_and_nobody_gets_more() {
    let mut city = City::new();
    let (anna, anna_key) = city.person("anna.key");
    let (_, thief_key) = city.person("thief.key");
    let (first, grant) = city.buys(&anna, 60, "first.grant");

    // The service is gone; the meter decides by itself.
    city.service = None;
    city.is_refused(city.uses(&grant, &thief_key, &["park", "60"]), "cannot be shown with this key");
    city.is_refused(city.uses(&grant, &anna_key, &["park", "61"]), "not-granted");
    city.is_refused(city.uses(&grant, &anna_key, &["park", "59"]), "not-granted");
    city.is_refused(city.uses(&grant, &anna_key, &["set-rate", "0"]), "not-opened");
    let (code, said) = city.uses(&grant, &anna_key, &["park", "60"]);
    assert_eq!((code, &said["output"]["seconds"]), (0, &json!(3600)), "{said}");
    city.is_refused(city.uses(&grant, &anna_key, &["park", "60"]), "out-of-turn");
    // A meter that is killed knows that it began.
    city.meter = None;
    city.start_meter();
    city.is_refused(city.uses(&grant, &anna_key, &["park", "60"]), "out-of-turn");

    // The city raises its price; who stays longer pays it for what they buy now, and only for that.
    city.service = Some(city.place.service(&[]));
    wait_for("the start", || city.purchase(&first)["state"] == "active");
    city.offer("6.00 EUR");
    let (second, more) = city.buys(&anna, 60, "second.grant");
    assert_eq!(city.purchase(&second)["amount"], 600);
    assert_eq!(city.purchase(&first)["amount"], 240);
    let (code, said) = city.uses(&more, &anna_key, &["park", "60"]);
    assert_eq!(code, 0, "{said}");

    // Nobody else can buy the bay meanwhile.
    let (ben, _) = city.person("ben.key");
    let page = format!("http://localhost:{}/near", city.console);
    let (status, _) =
        city.ask("POST", "/purchases", &json!({"quantity": 60, "holder": ben, "return_url": page}));
    assert_eq!(status, 409);

    let (code, said) = city.uses(&more, &anna_key, &["leave"]);
    assert_eq!(code, 0, "{said}");
    let rest = said["output"]["rest"].as_u64().unwrap();
    city.is_refused(city.uses(&more, &anna_key, &["leave"]), "out-of-turn");
    city.is_refused(city.uses(&more, &anna_key, &["park", "60"]), "out-of-turn");
    wait_for("the refunds", || {
        let back = [&first, &second].map(|id| city.purchase(id)["refunded"].as_u64().unwrap());
        let newest = rest.min(60);
        back == [(rest - newest) * 240 / 60, newest * 600 / 60]
    });
    let list = city.place.done(&["purchase", "list", "--device", "meter-1"]);
    let states: Vec<&Json> = list.as_array().unwrap().iter().map(|purchase| &purchase["state"]).collect();
    assert_eq!(states, [&json!("ended"), &json!("ended")]);
    let folder = city.place.path("log");
    city.place.done(&["audit", "export", shown(&folder)]);
    let key = city.place.done(&["audit", "key"])["key"].as_str().unwrap().to_owned();
    let verified = city.place.done(&["audit", "verify", shown(&folder), "--key", &key]);
    let on_its_word = verified["signed_by"]["device"].as_u64().unwrap();
    assert!(on_its_word >= 3, "two starts and an end: {verified}");
}

#[test]
fn a_part_that_was_handed_on_ends_with_the_stay_and_money_given_back_ends_both() {
    let city = City::new();
    let (anna, anna_key) = city.person("anna.key");
    let (ben, ben_key) = city.person("ben.key");
    let (id, grant) = city.buys(&anna, 60, "anna.grant");
    let part = city.place.path("ben.grant");
    let words = ["grant", "narrow", shown(&grant), "--key", shown(&anna_key), "--to", &ben];
    city.place.done(&[&words[..], &["--allow", "leave", "--out", shown(&part)]].concat());
    city.is_refused(city.uses(&part, &ben_key, &["park", "60"]), "not-granted");
    assert_eq!(city.uses(&grant, &anna_key, &["park", "60"]).0, 0);
    wait_for("the start", || city.purchase(&id)["state"] == "active");
    assert_eq!(city.place.done(&["purchase", "refund", &id])["owed"], 240);
    wait_for("the money", || city.purchase(&id)["refunded"] == 240);
    wait_for("the meter hears of it", || {
        city.uses(&part, &ben_key, &["leave"]).1.to_string().contains("revoked")
    });
    city.is_refused(city.uses(&grant, &anna_key, &["leave"]), "revoked");
    assert_eq!(city.place.run(&["purchase", "refund", &id]).0, 1, "once");
    city.place.done(&["offer", "remove", "meter-1"]);
    assert_eq!(city.ask("GET", "", &Json::Null).0, 404);
}

#[test]
fn a_service_that_is_killed_at_any_point_of_a_purchase_goes_on_where_it_was() {
    let mut city = City::new();
    let (anna, anna_key) = city.person("anna.key");
    let page = format!("http://localhost:{}/near", city.console);
    let (_, made) =
        city.ask("POST", "/purchases", &json!({"quantity": 60, "holder": anna, "return_url": page}));
    let id = made["id"].as_str().unwrap();
    // It is paid while the service is gone.
    city.service = None;
    let checkout = made["checkout"].as_str().unwrap().split_once("/checkout/").unwrap().1;
    http(city.testbed, "POST", &format!("/checkout/{checkout}"), &format!("card={CARD}"));
    city.service = Some(city.place.service(&[]));
    wait_for("the grant", || city.purchase(id)["grant"].is_string());
    let grant = city.place.path("anna.grant");
    std::fs::write(&grant, city.purchase(id)["grant"].as_str().unwrap()).unwrap();
    city.service = None;
    assert_eq!(city.uses(&grant, &anna_key, &["park", "60"]).0, 0);
    assert_eq!(city.uses(&grant, &anna_key, &["leave"]).0, 0);
    city.service = Some(city.place.service(&[]));
    wait_for("the end", || city.purchase(id)["state"] == "ended");
    // One of the 60 minutes had begun, and never the whole price, whichever report came first.
    wait_for("the money", || city.purchase(id)["refunded"] == 236);
}
