//! The vectors of `vectors/`, for the tests that need all of them. The list is checked against
//! the folder by a test.

macro_rules! vectors {
    ($($name:literal)+) => {
        /// Name, bytes, expectation.
        pub(crate) const VECTORS: &[(&str, &[u8], &str)] = &[$((
            $name,
            include_bytes!(concat!("../../vectors/", $name, ".http")),
            include_str!(concat!("../../vectors/", $name, ".expect")),
        )),+];
    };
}

vectors! {
    "access-bad-lines" "access-exchange" "access-push" "access-querydata-count"
    "access-querydata-options" "access-querydata-transaction" "access-registry"
    "access-remote-verification" "access-rtlog" "access-rtlog-batch" "access-rtlog-no-index"
    "access-rtstate" "access-tabledata-rules" "access-tabledata-transaction"
    "access-tabledata-unknown" "access-tabledata-user" "access-time"
    "attlog-10-fields" "attlog-10-fields-number-last"
    "attlog-11-fields" "attlog-2-4-5-fields" "attlog-7-fields" "attlog-8-fields"
    "attlog-answer-to-query" "attlog-bad-lines" "attlog-claimed-forms" "attlog-clocks"
    "attlog-gbk" "attlog-id-card" "attlog-line-ends" "attlog-us-16-fields"
    "attlog-windows-1252" "attphoto" "biodata" "devicecmd-batch" "devicecmd-info"
    "devicecmd-one-pair-a-line" "errorlog" "handshake-access" "handshake-comm-key"
    "handshake-new" "handshake-old" "no-serial" "not-ours" "operlog-codes" "operlog-mixed"
    "operlog-user-without-word" "options" "packed" "ping" "poll" "poll-info"
    "poll-info-blanks" "remote-attendance" "time" "unknown-table" "wrong-method"
}
