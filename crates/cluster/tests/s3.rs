//! Files in a real server of S3, over connections that do what the test says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what does not work ends the test")]

mod faults;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use faults::{Fault, Faults};
use thingward_cluster::s3::{BucketUrl, Login, Patience, Place, S3Depot, S3Error};
use thingward_store::{Depot as _, StoreError};
use thingward_town_cluster::{CREDENTIALS, S3Server, free_port};

const PATIENCE: Patience =
    Patience { tries: 4, pause: Duration::from_millis(5), quiet: Duration::from_millis(500) };

fn place(url: &str, login: &str) -> Place {
    let (key, secret) = login.split_once(':').unwrap();
    Place {
        bucket: url.parse::<BucketUrl>().unwrap(),
        login: Login { access_key: key.to_owned(), secret_key: secret.to_owned().into() },
        tls: None,
        prefix: "town".to_owned(),
        patience: PATIENCE,
    }
}

async fn problem_of(place: &Place) -> String {
    match S3Depot::open(place).await {
        Ok(_) => panic!("it opens"),
        Err(error) => shown(error),
    }
}

/// An error as people see it, without a secret.
fn shown(error: S3Error) -> String {
    let text = format!("{error} {error:?}");
    assert!(
        !text.contains("secret\"") && !text.contains("not-much") && !text.contains("Signature="),
        "{text}"
    );
    error.to_string()
}

/// Runs `work` with a depot behind faults, where it may block, and a folder; says what the connections carried.
async fn behind(faults: Vec<Fault>, work: impl FnOnce(&S3Depot, &Path) + Send + 'static) -> usize {
    let server = S3Server::start();
    let faults = Faults::before(&server, faults).await;
    let depot = S3Depot::open(&place(&faults.url(), CREDENTIALS)).await.unwrap();
    let blocking = move || work(&depot, tempfile::tempdir().unwrap().path());
    tokio::task::spawn_blocking(blocking).await.unwrap();
    faults.connections()
}

fn some_bytes(size: usize) -> Vec<u8> {
    (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

fn round_trip(depot: &S3Depot, folder: &Path) {
    let (from, to, bytes) = (folder.join("from"), folder.join("to"), some_bytes(300_000));
    std::fs::write(&from, &bytes).unwrap();
    depot.put("segments/acme/1.parquet", &from).unwrap();
    depot.get("segments/acme/1.parquet", &to).unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_one_node_is_there_for_another_as_it_was() {
    let server = S3Server::start();
    let place = place(&server.url(), CREDENTIALS);
    let (one, other) = (S3Depot::open(&place).await.unwrap(), S3Depot::open(&place).await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let work = move || {
        for size in [0_usize, 1, 65_536, 300_000, 20_000_000] {
            let name = format!("logs/acme/tile/entries/x001/{size}");
            let (from, to) = (folder.path().join("from"), folder.path().join("to"));
            assert!(matches!(other.get(&name, &to), Err(StoreError::NotFound { .. })));
            std::fs::write(&from, some_bytes(size)).unwrap();
            one.put(&name, &from).unwrap();
            other.put(&name, &from).unwrap();
            other.get(&name, &to).unwrap();
            assert_eq!(std::fs::read(&to).unwrap(), some_bytes(size));
            assert!(server.bucket().join("town").join(&name).is_file());
        }
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_never_another() {
    behind(vec![], |depot, folder| {
        let (one, other, to) = (folder.join("one"), folder.join("other"), folder.join("to"));
        std::fs::write(&one, "one").unwrap();
        std::fs::write(&other, "two").unwrap();
        depot.put("x", &one).unwrap();
        let error = depot.put("x", &other).unwrap_err().to_string();
        assert!(error.contains("another file is there"), "{error}");
        depot.get("x", &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"one");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_put_a_file_at_once_both_have_put_it() {
    // Nothing is there when the second looks, and the file when it puts: the server itself refuses that.
    let unseen = Fault::Says("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned());
    let faults = vec![Fault::None, Fault::None, Fault::None, Fault::None, unseen];
    let connections = behind(faults, |depot, folder| {
        let file = folder.join("file");
        std::fs::write(&file, "same").unwrap();
        depot.put("x", &file).unwrap();
        depot.put("x", &file).unwrap();
    });
    // Two for opening; looking and putting; looking, putting and looking again.
    assert_eq!(connections.await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_know_the_condition_is_asked_without_it() {
    let unknown = Fault::Says("HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\n\r\n".to_owned());
    assert_eq!(behind(vec![Fault::None, Fault::None, Fault::None, unknown], round_trip).await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_by_itself_is_waited_for() {
    let failing =
        || Fault::Says("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".to_owned());
    let busy = || Fault::Says("HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\n\r\n".to_owned());
    // Two for opening; looking, putting, getting.
    for (name, undisturbed, faults, connections) in [
        ("three times 500 at the start", 0, vec![failing(), failing(), failing()], 8),
        ("500 and 503 while putting", 3, vec![failing(), Fault::None, busy()], 9),
        ("slow", 2, vec![Fault::Slow], 6),
        ("cut while putting", 3, vec![Fault::CutUp(100_000)], 7),
        ("the answer to a put is lost", 3, vec![Fault::CutDown(0)], 6),
        ("cut while getting", 4, vec![Fault::CutDown(100_000)], 6),
        ("another body", 4, vec![Fault::Flips], 6),
        ("not HTTP", 0, vec![Fault::Says("SSH-2.0-OpenSSH\r\n".to_owned())], 6),
    ] {
        let before = (0..undisturbed).map(|_| Fault::None);
        assert_eq!(behind(before.chain(faults).collect(), round_trip).await, connections, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_pass_is_said_and_nothing_wrong_is_returned() {
    let stays = |fault: fn() -> Fault| {
        let undisturbed = (0..4).map(|_| Fault::None);
        undisturbed.chain((0..4).map(|_| fault())).collect::<Vec<_>>()
    };
    for (faults, expected) in [
        (stays(|| Fault::Flips), "damaged"),
        (stays(|| Fault::Slow), "does not answer in 500 ms"),
        (stays(|| Fault::CutDown(100_000)), "the connection to it ended"),
        (stays(|| Fault::Says("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".to_owned())), "it fails: 500"),
    ] {
        let connections = behind(faults, move |depot, folder| {
            let file = folder.join("file");
            std::fs::write(&file, some_bytes(300_000)).unwrap();
            depot.put("x", &file).unwrap();
            let error = depot.get("x", &folder.join("to")).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        });
        assert_eq!(connections.await, 8, "{expected}: four tries and no more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_used_says_what_to_change() {
    let server = S3Server::start();
    let url = server.url();
    let (key, _) = CREDENTIALS.split_once(':').unwrap();
    let wrong = problem_of(&place(&url, &format!("{key}:secret"))).await;
    assert!(wrong.contains("the secret key or the region is wrong"), "{wrong}");
    let unknown = problem_of(&place(&url, "nobody:secret")).await;
    assert!(unknown.contains("access key") || unknown.contains("denies"), "{unknown}");
    let nowhere = problem_of(&place(&url.replace("/files", "/nothing"), CREDENTIALS)).await;
    assert!(nowhere.contains("there is no such bucket"), "{nowhere}");
    let closed = problem_of(&place(&format!("http://127.0.0.1:{}/files", free_port()), CREDENTIALS)).await;
    assert!(closed.contains("it cannot be reached"), "{closed}");
    let late = "HTTP/1.1 403 Forbidden\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\n\r\n";
    let faults = Faults::before(&server, vec![Fault::Says(late.to_owned())]).await;
    let skewed = problem_of(&place(&faults.url(), CREDENTIALS)).await;
    assert!(skewed.contains("clock"), "{skewed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_over_tls_is_the_one_whose_issuer_is_known() {
    let server = S3Server::start();
    let (ours, theirs) = (faults::Tls::new(), faults::Tls::new());
    let faults = Faults::before_over(&server, vec![], Some(&ours)).await;
    let at =
        |tls: &faults::Tls| Place { tls: Some(Arc::clone(&tls.client)), ..place(&faults.url(), CREDENTIALS) };
    let depot = S3Depot::open(&at(&ours)).await.unwrap();
    let work = move || round_trip(&depot, tempfile::tempdir().unwrap().path());
    tokio::task::spawn_blocking(work).await.unwrap();
    let refused = problem_of(&at(&theirs)).await;
    assert!(refused.contains("it cannot be reached") && refused.contains("certificate"), "{refused}");
}
