//! Supervisors that end as no supervisor should: what stands below and after them is rebuilt, and nothing accepted is lost.

use supervision::chaos::Fault;

use super::field::{Field, STREAMS};

/// How a supervisor can be made to end.
const FAULTS: [Fault; 3] = [Fault::Panic, Fault::Error, Fault::Kill];

/// A supervisor whose end costs the clients their connections, for these stand after it.
async fn rebuilt(path: &str, faults: &[Fault]) {
    let mut field = Field::start().await;
    for fault in faults {
        field.heals(path, *fault).await;
        field.reconnected().await;
        field.stream().await;
    }
    field.witness.ends_of(&field.runs[field.runs.len() - STREAMS..]).await;
    field.nothing_lost().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_of_the_sessions_is_rebuilt_unnoticed_by_the_others() {
    let mut field = Field::start().await;
    for fault in FAULTS {
        let session = field.session("k2");
        let (partition, _) = session.rsplit_once('/').unwrap();
        field.heals(partition, fault).await;
        field.ended_well().await;
        field.stream().await;
    }
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_supervisor_of_the_sessions_is_rebuilt() {
    rebuilt("root/core/sessions", &FAULTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_supervisors_of_models_and_credentials_are_rebuilt() {
    rebuilt("root/core/providers", &[Fault::Kill]).await;
    rebuilt("root/core/auth_profiles", &[Fault::Panic]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_supervisors_of_channels_and_lanes_are_rebuilt() {
    rebuilt("root/core/channels", &[Fault::Kill]).await;
    rebuilt("root/core/delivery", &[Fault::Panic]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_supervisor_of_the_upkeep_is_rebuilt() {
    rebuilt("root/core/upkeep", &FAULTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_plane_is_rebuilt() {
    rebuilt("root/core/control", &FAULTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_supervisor_of_the_connections_is_rebuilt() {
    rebuilt("root/core/control/connections", &FAULTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn core_is_rebuilt_from_disk() {
    rebuilt("root/core", &FAULTS).await;
}
