use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;

const LIMIT: Duration = Duration::from_millis(200);

/// More than the buffers of both ends hold.
const LARGE: usize = 32 * 1024 * 1024;

async fn pair() -> (WriteLimit, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (WriteLimit::new(listener.accept().await.unwrap().0, LIMIT), client)
}

#[tokio::test]
async fn a_client_that_reads_byte_for_byte_does_not_extend_the_limit() {
    let (mut server, mut client) = pair().await;
    let reader = tokio::spawn(async move {
        while client.read_u8().await.is_ok() {
            sleep(LIMIT / 20).await;
        }
    });
    let bytes = vec![0; LARGE];
    let result = timeout(LIMIT * 50, server.write_all(&bytes)).await.unwrap();
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
    reader.abort();
}

#[tokio::test]
async fn a_client_that_reads_gets_everything_however_long_the_pauses_between_answers_are() {
    let (mut server, mut client) = pair().await;
    let reader = tokio::spawn(async move { client.read_to_end(&mut Vec::new()).await });
    for _ in 0..2 {
        server.write_all(&vec![0; LARGE / 2]).await.unwrap();
        server.flush().await.unwrap();
        sleep(LIMIT * 2).await;
    }
    server.shutdown().await.unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), LARGE);
}
