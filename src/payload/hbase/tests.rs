use super::*;

#[test]
fn a_name_is_decoded() {
    let fields = decode("rs1.example.com,16020,1769292890155").unwrap();
    assert_eq!((fields.host.as_deref(), fields.port), (Some("rs1.example.com"), Some(16020)));
    assert_eq!(fields.data["startcode"], 1_769_292_890_155_u64);
    for name in ["rs1,16020", "rs1", "rs1,x,1", "rs1,1,x", ",1,1", "a b,1,1", "rs1,0,1", "rs1,99999,1"] {
        assert!(decode(name).is_err(), "{name}");
    }
}
