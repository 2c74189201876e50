use super::*;

#[test]
fn every_unsupported_key_belongs_to_a_table_that_does_not_accept_it() {
    for key in UNSUPPORTED {
        let table = TABLES.iter().find(|table| table.table == key.table);
        assert!(table.is_some_and(|table| !table.keys.contains(&key.key)), "{key:?}");
    }
}
