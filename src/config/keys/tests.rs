use super::*;

#[test]
fn every_later_key_belongs_to_a_table_and_is_not_read_yet() {
    for later in LATER {
        let table = TABLES.iter().find(|table| table.table == later.table);
        assert!(table.is_some_and(|table| !table.keys.contains(&later.key)), "{later:?}");
    }
}
