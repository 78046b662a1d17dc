//! Servers, and members whose certificates both take.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::house::{House, free_port, resident, wait_for};

/// Clock ticks of `/proc` in a second.
const TICKS: f64 = 100.0;

/// A process that listens.
pub(super) struct Server {
    process: u32,
    port: u16,
    root: PathBuf,
}

impl Server {
    /// The service of a house.
    pub(super) fn of(house: &House) -> Self {
        Self { process: house.service_process(), port: house.mqtt, root: house.path("data/root.pem") }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What it took of the processor so far.
    pub(super) fn processor(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process)).unwrap();
        // Behind its name, which may be anything: the twelfth is its own time, the thirteenth the kernel's for it.
        let rest = stat.rsplit_once(')').unwrap().1;
        let ticks: f64 =
            rest.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum();
        Duration::from_secs_f64(ticks / TICKS)
    }

    /// In KiB.
    pub(super) fn memory(&self) -> u64 {
        resident(&self.process.to_string())
    }
}

/// A member of the house with a key that OpenSSL made.
pub(super) struct Member {
    folder: PathBuf,
}

impl Member {
    pub(super) fn enrol(house: &House, name: &str, role: &str) -> Self {
        let folder = house.path(name);
        std::fs::create_dir(&folder).unwrap();
        let me = Self { folder };
        let (key, der, request, answer) =
            (me.file("key.pem"), me.file("request.der"), me.file("request.b64"), me.file("answer"));
        openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
        openssl(&["req", "-new", "-key", &key, "-subj", "/CN=x", "-outform", "DER", "-out", &der]);
        openssl(&["base64", "-in", &der, "-out", &request]);
        let made = house.done(&["device", "claim", name, "--tenant", "acme", "--role", role]);
        let code = made["claim"].as_str().unwrap().split_once('.').unwrap().0;
        let url = format!("{}/.well-known/est/simpleenroll", house.url);
        let root = house.path("data/root.pem");
        run(
            "curl",
            &[
                "--silent",
                "--fail",
                "--cacert",
                root.to_str().unwrap(),
                "-u",
                &format!("{name}:{code}"),
                "-H",
                "Content-Type: application/pkcs10",
                "--data-binary",
                &format!("@{request}"),
                "-o",
                &answer,
                &url,
            ],
        );
        me.take_certificates(&answer, &key);
        me
    }

    /// Its own certificate is the one with its key; the other is its issuer's.
    fn take_certificates(&self, answer: &str, key: &str) {
        let der = self.file("answer.p7");
        openssl(&["base64", "-d", "-in", answer, "-out", &der]);
        let text = openssl(&["pkcs7", "-inform", "DER", "-in", &der, "-print_certs"]);
        let public = openssl(&["pkey", "-in", key, "-pubout"]);
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        const END: &str = "-----END CERTIFICATE-----\n";
        let (mut chain, mut issuer) = (String::new(), String::new());
        for part in text.split(BEGIN).skip(1) {
            let certificate = format!("{BEGIN}{}{END}", part.split_once(END).unwrap().0);
            let file = self.file("one.pem");
            std::fs::write(&file, &certificate).unwrap();
            let is_own = openssl(&["x509", "-in", &file, "-noout", "-pubkey"]) == public;
            *if is_own { &mut chain } else { &mut issuer } = certificate;
        }
        std::fs::write(self.file("chain.pem"), chain + &issuer).unwrap();
        std::fs::write(self.file("issuer.pem"), issuer).unwrap();
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// With which it connects, by a full handshake each time.
    pub(super) fn client(&self, server: &Server) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for root in certificates(&server.root) {
            roots.add(root).unwrap();
        }
        let chain = certificates(&self.folder.join("chain.pem"));
        let key = PrivateKeyDer::from_pem_file(self.folder.join("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let mut config = builder.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }
}

/// The peer, with a certificate of its own; it takes clients of the house.
pub(super) struct Mosquitto {
    process: Child,
    port: u16,
    root: PathBuf,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Mosquitto {
    pub(super) fn start(house: &House, member: &Member) -> Self {
        let folder = house.path("mosquitto");
        std::fs::create_dir(&folder).unwrap();
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (key, root, server_key, request, certificate) = (
            file("root.key"),
            file("root.pem"),
            file("key.pem"),
            file("request.pem"),
            file("certificate.pem"),
        );
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        openssl(
            &[
                &["req", "-x509", "-days", "2", "-subj", "/CN=root", "-keyout", &key, "-out", &root],
                &curve[..],
            ]
            .concat(),
        );
        openssl(
            &[
                &["req", "-new", "-subj", "/CN=localhost", "-keyout", &server_key, "-out", &request],
                &curve[..],
            ]
            .concat(),
        );
        std::fs::write(folder.join("extensions"), "subjectAltName=DNS:localhost\n").unwrap();
        openssl(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            &request,
            "-CA",
            &root,
            "-CAkey",
            &key,
            "-CAcreateserial",
            "-extfile",
            &file("extensions"),
            "-out",
            &certificate,
        ]);
        let clients = [house.path("data/root.pem"), member.folder.join("issuer.pem")]
            .map(|path| std::fs::read_to_string(path).unwrap());
        std::fs::write(folder.join("clients.pem"), clients.concat()).unwrap();
        let port = free_port();
        let configuration = format!(
            "listener {port} 127.0.0.1\ncafile {}\ncertfile {certificate}\nkeyfile {server_key}\ntls_version tlsv1.3\n\
             require_certificate true\nuse_identity_as_username true\nuser root\npersistence false\nlog_type none\n",
            file("clients.pem")
        );
        std::fs::write(folder.join("mosquitto.conf"), configuration).unwrap();
        let mut command = Command::new("mosquitto");
        command.args(["-c", &file("mosquitto.conf")]).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        wait_for("mosquitto", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { process, port, root: root.into() }
    }

    pub(super) fn server(&self) -> Server {
        Server { process: self.process.id(), port: self.port, root: self.root.clone() }
    }
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
}

fn openssl(arguments: &[&str]) -> String {
    run("openssl", arguments)
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
