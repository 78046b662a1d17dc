//! Nodes that share a database.

use std::task::Poll;
use std::time::{Duration, Instant};

use thingward_test_postgres::{PASSWORD, Postgres, USER};

use super::*;
use crate::error::PlaceProblem;

fn place(postgres: &Postgres, database: &str) -> PostgresPlace {
    postgres.url(USER, database).parse().unwrap()
}

/// A new database of a user who may do nothing else.
fn owned(postgres: &Postgres) -> PostgresPlace {
    let database = postgres.database();
    let user = format!("owner_of_{database}");
    postgres.sql(&database, &format!("CREATE ROLE {user} LOGIN; ALTER DATABASE {database} OWNER TO {user}"));
    postgres.url(&user, &database).parse().unwrap()
}

/// A place over TCP, with what follows the database.
fn over_tcp(postgres: &Postgres, password: &str, database: &str, rest: &str) -> PostgresPlace {
    let port = postgres.port();
    let password = password.replace(' ', "%20");
    format!("postgres://{USER}:{password}@localhost:{port}/{database}?{rest}").parse().unwrap()
}

fn problem(result: Result<Registry, StoreError>) -> PlaceProblem {
    match result.err() {
        Some(StoreError::PlaceUnusable { problem, place }) => {
            assert!(!place.contains(PASSWORD) && !place.contains("%20"), "{place}");
            problem
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_leader_changes_and_reads_nothing_any_more() {
    let Some(postgres) = Postgres::of_this_process() else { return };
    let place = owned(postgres);
    let old = Registry::lead(&place, 1).await.unwrap();
    old.set_metadata("kept", b"old").await.unwrap();
    // Connections that wait for work, one amid a change, and one with a change to begin after it.
    let mut open = old.change().await.unwrap();
    sqlx::query("UPDATE metadata SET value = $1").bind(&b"lost"[..]).execute(&mut *open).await.unwrap();
    let waits = tokio::spawn({
        let old = old.clone();
        async move { old.add_claim_code("code", &claim(), NOW).await }
    });

    let new = Registry::lead(&place, 2).await.unwrap();
    assert_eq!(new.metadata("kept").await.unwrap().as_deref(), Some(&b"old"[..]));
    new.set_metadata("kept", b"new").await.unwrap();
    assert!(open.commit().await.is_err());
    assert!(waits.await.unwrap().is_err());
    let begun = Instant::now();
    for round in 0..3 {
        let refused = [
            old.set_metadata("kept", b"late").await.err(),
            old.metadata("kept").await.err(),
            old.add_claim_code("code", &claim(), NOW).await.err(),
            old.next_crl_number().await.err(),
        ];
        assert!(refused.iter().all(Option::is_some), "{refused:?}");
        let told = |e: &Option<StoreError>| matches!(e, Some(StoreError::Superseded));
        assert!(round == 0 || refused.iter().all(told), "{refused:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "who is refused hears so at once");
    assert!(old.is_superseded() && !new.is_superseded());
    assert_eq!(new.metadata("kept").await.unwrap().as_deref(), Some(&b"new"[..]));
    for stale in [0, 1, 2] {
        assert!(matches!(Registry::lead(&place, stale).await.err(), Some(StoreError::Superseded)));
    }
    new.set_metadata("kept", b"still").await.unwrap();
}

fn claim() -> Claim {
    Claim { principal: principal("acme", Role::Device, "d") }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_leaders_that_come_at_once_the_one_with_the_highest_term_is_left() {
    let Some(postgres) = Postgres::of_this_process() else { return };
    let place = owned(postgres);
    assert_eq!(Registry::newest_term(&place).await.unwrap(), 0);
    let tasks: Vec<_> = (1..=6)
        .map(|term| {
            let place = place.clone();
            tokio::spawn(async move {
                let registry = Registry::lead(&place, term).await?;
                let mut more = 0..10_000;
                while term < 6 && registry.next_crl_number().await.is_ok() {
                    more.next().expect("an earlier leader is let go on");
                }
                Ok::<_, StoreError>(registry)
            })
        })
        .collect();
    let mut last = None;
    for task in tasks {
        last = Some(task.await.unwrap());
    }
    last.unwrap().unwrap().next_crl_number().await.unwrap();
    assert_eq!(Registry::newest_term(&place).await.unwrap(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_is_on_disks_whatever_the_database_says() {
    let Some(postgres) = Postgres::of_this_process() else { return };
    for weaker in ["off", "local", "remote_write"] {
        let database = postgres.database();
        postgres.sql(&database, &format!("ALTER DATABASE {database} SET synchronous_commit = {weaker}"));
        let registry = Registry::lead(&place(postgres, &database), 1).await.unwrap();
        let is = sqlx::query("SELECT current_setting('synchronous_commit') AS is");
        let is: String = get(&is.fetch_one(&registry.pool).await.unwrap(), "is").unwrap();
        assert_eq!(is, "on", "{weaker}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_goes_on_when_the_server_ended_its_sessions() {
    let Some(postgres) = Postgres::of_this_process() else { return };
    let database = postgres.database();
    let registry = Registry::lead(&place(postgres, &database), 1).await.unwrap();
    registry.set_metadata("a", b"1").await.unwrap();
    let others = "datname = current_database() AND pid <> pg_backend_pid()";
    postgres
        .sql(&database, &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"));
    registry.set_metadata("a", b"2").await.unwrap();
    assert_eq!(registry.metadata("a").await.unwrap().as_deref(), Some(&b"2"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_reads_through_a_change_of_leaders_and_changes_nothing() {
    let Some(postgres) = Postgres::of_this_process() else { return };
    let place = owned(postgres);
    assert!(matches!(problem(Registry::follow(&place).await), PlaceProblem::Behind));
    let leader = Registry::lead(&place, 1).await.unwrap();
    leader.set_metadata("a", b"1").await.unwrap();
    let follower = Registry::follow(&place).await.unwrap();
    assert_eq!(follower.metadata("a").await.unwrap().as_deref(), Some(&b"1"[..]));
    let leader = Registry::lead(&place, 2).await.unwrap();
    leader.set_metadata("a", b"2").await.unwrap();
    assert_eq!(follower.metadata("a").await.unwrap().as_deref(), Some(&b"2"[..]));
    for refused in [follower.set_metadata("a", b"3").await, follower.add_claim_code("c", &claim(), NOW).await]
    {
        assert!(matches!(refused, Err(StoreError::ReadOnly { .. })), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_dropped_at_any_moment_takes_nothing_with_it() {
    let Some(postgres) = Postgres::of_this_process() else { return };
    let database = postgres.database();
    let registry = Registry::lead(&place(postgres, &database), 1).await.unwrap();
    // A change that is undone, since there is no such tenant.
    let claim = claim();
    // After so many steps, each up to where it waits.
    for steps in 1..=40 {
        {
            let mut call = std::pin::pin!(registry.add_claim_code("code", &claim, NOW));
            let mut left = steps;
            let cut = std::future::poll_fn(|context| {
                left -= 1;
                let is_over = call.as_mut().poll(context).is_ready() || left == 0;
                if is_over { Poll::Ready(()) } else { Poll::Pending }
            });
            cut.await;
        }
        // On each of the connections.
        for n in 0..CONNECTIONS_MAX {
            registry.set_metadata(&format!("{steps} {n}"), b"kept").await.unwrap();
        }
    }
    registry.close().await;
    let kept = postgres.sql(&database, "SELECT COUNT(*) FROM metadata");
    assert_eq!(kept, (40 * CONNECTIONS_MAX).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_of_a_newer_release_is_left_alone() {
    let Some(postgres) = Postgres::of_this_process() else { return };
    let database = postgres.database();
    let place = place(postgres, &database);
    let leader = Registry::lead(&place, 1).await.unwrap();
    postgres.sql(
        &database,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', TRUE, '', 0)",
    );
    for refused in [Registry::lead(&place, 2).await.err(), Registry::follow(&place).await.err()] {
        let newer =
            |e: &StoreError| matches!(e, StoreError::Conflict { what } if what.contains("newer release"));
        assert!(refused.as_ref().is_some_and(newer), "{refused:?}");
    }
    leader.set_metadata("a", b"1").await.expect("who can lead is left alone too");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_place_is_said() {
    let Some(postgres) = Postgres::of_this_process() else { return };
    let lead = async |place: &PostgresPlace| problem(Registry::lead(place, 1).await);
    let nobody: PostgresPlace = "postgres://u:p@127.0.0.1:1/d".parse().unwrap();
    assert!(matches!(lead(&nobody).await, PlaceProblem::Unreachable(_)));
    assert!(matches!(lead(&place(postgres, "nowhere")).await, PlaceProblem::NoDatabase));
    for arguments in [["--encoding=UTF8", "--locale=C.UTF-8"], ["--encoding=SQL_ASCII", "--locale=C"]] {
        let other = postgres.database_with(&arguments);
        assert!(matches!(lead(&place(postgres, &other)).await, PlaceProblem::Order), "{arguments:?}");
    }
    let database = postgres.database();
    Registry::lead(&place(postgres, &database), 1).await.unwrap().close().await;
    postgres.sql(&database, &format!("CREATE ROLE reader_{database} LOGIN"));
    let reader: PostgresPlace = postgres.url(&format!("reader_{database}"), &database).parse().unwrap();
    assert!(matches!(problem(Registry::lead(&reader, 2).await), PlaceProblem::NotOwner));
    postgres.sql(&database, &format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader_{database}"));
    assert_eq!(Registry::follow(&reader).await.unwrap().metadata("a").await.unwrap(), None);
    postgres.sql(&database, &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"));
    assert!(matches!(problem(Registry::lead(&place(postgres, &database), 3).await), PlaceProblem::ReadOnly));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_crossed_with_tls_and_the_right_password_only() {
    let Some(postgres) = Postgres::of_this_process() else { return };
    let (database, ca) = (postgres.database(), format!("sslrootcert={}", postgres.ca_file().display()));
    let good = over_tcp(postgres, PASSWORD, &database, &ca);
    let registry = Registry::lead(&good, 1).await.unwrap();
    registry.set_metadata("a", b"1").await.unwrap();
    let encrypted = "SELECT DISTINCT version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE application_name = 'thingward-leader-1'";
    assert_eq!(postgres.sql(&database, encrypted), "TLSv1.3");
    let wrong = over_tcp(postgres, "wrong", &database, &ca);
    assert!(matches!(problem(Registry::lead(&wrong, 2).await), PlaceProblem::LoginRefused));
    let unknown_ca = over_tcp(postgres, PASSWORD, &database, "");
    let refused = problem(Registry::lead(&unknown_ca, 2).await);
    assert!(
        matches!(&refused, PlaceProblem::Unreachable(e) if e.to_string().contains("certificate")),
        "{refused}"
    );
    let plain = over_tcp(postgres, PASSWORD, &database, "sslmode=disable");
    Registry::lead(&plain, 2).await.unwrap();
    for place in [good, wrong, plain] {
        let shown = format!("{place} {place:?}");
        assert!(!shown.contains("password") && !shown.contains("wrong"), "{shown}");
    }
}

#[test]
fn a_place_names_user_host_and_database_and_never_less_protection_than_there_has_to_be() {
    for good in [
        "postgres://u:p@db.example:5432/d?sslrootcert=/etc/ca.pem",
        "postgresql://u@db.example/d?sslmode=verify-full",
        "postgres://u:p@127.0.0.1/d?sslmode=disable",
        "postgres://u@%2Frun%2Fpostgresql/d",
    ] {
        good.parse::<PostgresPlace>().unwrap();
    }
    for bad in [
        "",
        "mysql://u:p@db.example/d",
        "postgres://db.example/d",
        "postgres://u:p@db.example",
        "postgres://u:p@db.example/",
        "postgres:///d?user=u",
        "postgres://u:p@db.example/d?sslmode=disable",
        "postgres://u:p@db.example/d?sslmode=prefer",
        "postgres://u:p@db.example/d?host=other",
        "postgres://u:p@localhost/d?host=other&sslmode=disable",
        "postgres://u:p@db.example/d?options=-c%20x",
        "postgres://u:p@db.example/d#p",
        "postgres://u@%2Frun%2Fpostgresql/d?sslmode=verify-full",
    ] {
        let refused = bad.parse::<PostgresPlace>();
        assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{bad}");
    }
    let place: PostgresPlace = "postgres://u:MARKED@db.example:5433/d".parse().unwrap();
    assert_eq!(place.to_string(), "postgres://u@db.example:5433/d");
    assert!(!format!("{place:?}").contains("MARKED"));
}
