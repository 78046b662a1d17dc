//! A member that nobody here wrote: OpenSSL makes its key and request, curl enrols it, others connect with it.

use std::path::PathBuf;

use super::{Place, ask, peer, shown, succeeds};

/// Files of a member that was enrolled by hand.
pub(crate) struct ByHand {
    folder: PathBuf,
    root: PathBuf,
}

impl ByHand {
    /// A new key and a signing request for it.
    pub(crate) fn new(place: &Place, name: &str) -> Self {
        let folder = place.path(&format!("by-hand-{name}"));
        std::fs::create_dir(&folder).unwrap();
        let me = Self { folder, root: place.path("data/root.pem") };
        me.make_request();
        me
    }

    fn make_request(&self) {
        let (key, der) = (self.file("key.pem"), self.file("request.der"));
        succeeds("openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
        let subject = ["-subj", "/CN=what the request says does not matter"];
        succeeds(
            "openssl",
            &[&["req", "-new", "-key", &key, "-outform", "DER", "-out", &der], &subject[..]].concat(),
        );
        succeeds("openssl", &["base64", "-in", &der, "-out", &self.file("request.b64")]);
    }

    /// Enrolled with a claim for `name`.
    pub(crate) fn enrolled(place: &Place, tenant: &str, role: &str, name: &str) -> Self {
        let me = Self::new(place, &format!("{tenant}-{name}"));
        let claim = place.claim(tenant, role, name);
        let (code, _) = claim.split_once('.').unwrap();
        let answer = me.post(place, "simpleenroll", &["-u", &format!("{name}:{code}")]);
        assert_eq!(answer, "200", "{}", me.answer());
        me.take_certificates();
        me
    }

    pub(crate) fn file(&self, name: &str) -> String {
        shown(&self.folder.join(name)).to_owned()
    }

    pub(crate) fn root(&self) -> &str {
        shown(&self.root)
    }

    /// Posts the request to EST; the answer's body is in `answer`. Gives the status.
    pub(crate) fn post(&self, place: &Place, operation: &str, more: &[&str]) -> String {
        let url = format!("{}/.well-known/est/{operation}", place.url);
        let body = format!("@{}", self.file("request.b64"));
        let data = ["--data-binary", &body, "-H", "Content-Type: application/pkcs10"];
        self.curl(&[&data[..], more, &[&url]].concat())
    }

    /// Asks with curl; the answer's body is in `answer`. Gives the status.
    pub(crate) fn curl(&self, arguments: &[&str]) -> String {
        let out = self.file("answer");
        let _ = std::fs::remove_file(&out);
        let mut all =
            vec!["--silent", "--show-error", "--max-time", "20", "--cacert", self.root(), "-o", &out];
        all.extend(["-w", "%{http_code}"]);
        all.extend(arguments);
        let output = peer("curl").args(all).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn answer(&self) -> String {
        std::fs::read_to_string(self.file("answer")).unwrap_or_default()
    }

    /// The certificates of an EST answer, by OpenSSL.
    pub(crate) fn certificates_of_answer(&self) -> Vec<String> {
        let (answer, der) = (self.file("answer"), self.file("answer.p7"));
        succeeds("openssl", &["base64", "-d", "-in", &answer, "-out", &der]);
        let text = succeeds("openssl", &["pkcs7", "-inform", "DER", "-in", &der, "-print_certs"]);
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        const END: &str = "-----END CERTIFICATE-----\n";
        let parts = text.split(BEGIN).skip(1);
        parts.map(|part| format!("{BEGIN}{}{END}", part.split_once(END).unwrap().0)).collect()
    }

    /// Finds the own certificate in the answer by its key, and keeps it with its issuer.
    pub(crate) fn take_certificates(&self) {
        let public = succeeds("openssl", &["pkey", "-in", &self.file("key.pem"), "-pubout"]);
        let (mut leaf, mut issuing) = (None, None);
        for certificate in self.certificates_of_answer() {
            let file = self.file("one.pem");
            std::fs::write(&file, &certificate).unwrap();
            let key = succeeds("openssl", &["x509", "-in", &file, "-noout", "-pubkey"]);
            *if key == public { &mut leaf } else { &mut issuing } = Some(certificate);
        }
        let (leaf, issuing) = (leaf.unwrap(), issuing.unwrap());
        std::fs::write(self.file("chain.pem"), format!("{leaf}{issuing}")).unwrap();
        std::fs::write(self.file("leaf.pem"), leaf).unwrap();
        std::fs::write(self.file("issuing.pem"), issuing).unwrap();
    }

    /// Runs a Mosquitto client with mutual TLS on `port`.
    pub(crate) fn mosquitto(&self, program: &str, port: u16, arguments: &[&str]) -> (bool, String) {
        ask(
            program,
            &[&self.mosquitto_arguments(port).iter().map(String::as_str).collect::<Vec<_>>()[..], arguments]
                .concat(),
        )
    }

    /// Whether the handshake on `port` says that the certificate is revoked. Without the connection's end nothing is said for long:
    /// whoever gets through the handshake has a moment to speak MQTT.
    pub(crate) fn is_refused_as_revoked(&self, port: u16) -> bool {
        let at = format!("localhost:{port}");
        let own = self.openssl_arguments();
        let mut all = vec![
            "1",
            "openssl",
            "s_client",
            "-connect",
            &at,
            "-alpn",
            "mqtt",
            "-ign_eof",
            "-CAfile",
            self.root(),
        ];
        all.extend(own.iter().map(String::as_str));
        ask("timeout", &all).1.contains("certificate revoked")
    }

    /// With which `openssl s_client` shows the certificate.
    pub(crate) fn openssl_arguments(&self) -> [String; 6] {
        let files = ["leaf.pem", "issuing.pem", "key.pem"].map(|name| self.file(name));
        let [leaf, issuing, key] = files;
        ["-cert".to_owned(), leaf, "-cert_chain".to_owned(), issuing, "-key".to_owned(), key]
    }

    /// With which a Mosquitto client connects.
    pub(crate) fn mosquitto_arguments(&self, port: u16) -> Vec<String> {
        let (chain, key, port) = (self.file("chain.pem"), self.file("key.pem"), port.to_string());
        let all = ["-h", "localhost", "-p", &port, "--cafile", self.root(), "--cert", &chain, "--key", &key];
        all.map(str::to_owned).to_vec()
    }
}
