use super::*;
use serde_json::json;

fn member(name: &str, data: &Value) -> Option<Fields> {
    of(name, data, Statuses::Alive)
}

fn of(name: &str, data: &Value, statuses: Statuses) -> Option<Fields> {
    match decode(name, data.to_string().as_bytes(), statuses).unwrap() {
        Parsed::Member(fields) => Some(fields),
        _ => None,
    }
}

fn data(status: &str) -> Value {
    json!({"serviceEndpoint": {"host": "myserver", "port": 10000}, "additionalEndpoints":
        {"http": {"host": "myserver", "port": 80}}, "status": status, "shard": 0})
}

#[test]
fn only_alive_instances_are_members() {
    let fields = member("member_0000000007", &data("ALIVE")).unwrap();
    assert_eq!((fields.host.as_deref(), fields.port, fields.id.as_deref()), (Some("myserver"), Some(10000), Some("0")));
    assert_eq!((fields.weight, fields.status.as_deref()), (Some(1.0), Some("ALIVE")));
    assert_eq!(fields.data["additionalEndpoints"]["http"]["port"], json!(80));
    for status in ["DEAD", "STARTING", "STOPPING", "STOPPED", "WARNING", "UNKNOWN", "alive", ""] {
        assert!(member("member_1", &data(status)).is_none(), "{status}");
    }
    let mut without = data("ALIVE");
    without.as_object_mut().unwrap().remove("status");
    assert!(member("member_1", &without).is_none(), "a missing status means UNKNOWN");
    without["status"] = json!("ALIVE");
    without.as_object_mut().unwrap().remove("shard");
    assert_eq!(member("member_1", &without).unwrap().id.as_deref(), Some("member_1"));
    assert!(member("lock_1", &data("ALIVE")).is_none());
}

#[test]
fn with_statuses_all_every_instance_is_a_member() {
    for status in ["ALIVE", "DEAD", "STARTING", "WARNING"] {
        let fields = of("member_1", &data(status), Statuses::All).unwrap();
        assert_eq!((fields.status.as_deref(), fields.weight), (Some(status), Some(1.0)));
    }
    let mut without = data("");
    without.as_object_mut().unwrap().remove("status");
    assert_eq!(of("member_1", &without, Statuses::All).unwrap().status.as_deref(), Some("UNKNOWN"));
    assert!(of("lock_1", &data("ALIVE"), Statuses::All).is_none());
}

#[test]
fn weights_of_vectors_multiply() {
    let fields = member("member_1", &data("ALIVE")).unwrap();
    let weighs = |vector: Value| {
        let Parsed::Vector(vector) = decode("vector_1", vector.to_string().as_bytes(), Statuses::Alive).unwrap() else {
            panic!()
        };
        Weights::new([&vector].into_iter()).factor(&fields)
    };
    for (select, expected) in [
        ("member=member_1", 0.5),
        ("member=member_2", 1.0),
        ("inet=myserver:10000", 0.5),
        ("inet=myserver:1", 1.0),
        ("inet=myserver", 1.0),
        ("shard=0", 0.5),
        ("shard=x", 1.0),
        ("rack=1", 1.0),
    ] {
        let vector = json!({"vector": [{"select": select, "weight": 0.5, "priority": 1}]});
        assert!((weighs(vector) - expected).abs() < 1e-9, "{select}");
    }
    let both = json!({"vector": [{"select": "shard=0", "weight": 3}, {"select": "member=member_1", "weight": 0.5}, 5]});
    assert!((weighs(both) - 1.5).abs() < 1e-9);
    assert!((weighs(json!({"vector": "x"})) - 1.0).abs() < 1e-9);
}

#[test]
fn a_node_without_an_address_is_quarantined() {
    for (data, why) in [
        (json!({"status": "ALIVE"}), "its data has no serviceEndpoint"),
        (json!({"status": "ALIVE", "serviceEndpoint": {"host": "a"}}), "its serviceEndpoint has no port"),
    ] {
        let error = decode("member_1", data.to_string().as_bytes(), Statuses::All).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some(why));
    }
    assert!(decode("vector_1", b"{", Statuses::Alive).is_err());
}
