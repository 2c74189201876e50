vcl 4.1;
import directors;

backend web1 {
    .host = "10.0.1.1";
    .port = "8080";
}

backend web2 {
    .host = "10.0.1.2";
    .port = "8080";
}

backend web3 {
    .host = "10.0.1.3";
    .port = "8080";
}

sub vcl_init {
    new pool = directors.round_robin();
    pool.add_backend(web1);
    pool.add_backend(web2);
    pool.add_backend(web3);
}
