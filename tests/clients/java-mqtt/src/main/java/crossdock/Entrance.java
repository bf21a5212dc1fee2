package crossdock;

import java.io.FileInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.regex.Pattern;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * How clients come in, as the environment says: CROSSDOCK_LISTENER is the listener's name (mqtt, or mqtts if there is a CROSSDOCK_CA, which
 * is whom to trust), CROSSDOCK_WEBSOCKET makes it a WebSocket, and with CROSSDOCK_CLIENT_CERT and CROSSDOCK_CLIENT_KEY a certificate takes the
 * place of name and password.
 */
final class Entrance {
    static final String AUTHORITY = System.getenv("CROSSDOCK_CA");
    static final String CERTIFICATE = System.getenv("CROSSDOCK_CLIENT_CERT");
    static final boolean IS_WEBSOCKET = System.getenv("CROSSDOCK_WEBSOCKET") != null;
    static final boolean HAS_PASSWORD = CERTIFICATE == null;
    static final String HOST = AUTHORITY == null ? "127.0.0.1" : "localhost";

    private Entrance() {}

    static int port() {
        String listener = System.getenv().getOrDefault("CROSSDOCK_LISTENER", AUTHORITY == null ? "mqtt" : "mqtts");
        var found = Pattern.compile("\"" + listener + "\":\\s*(\\d+)").matcher(System.getenv("CROSSDOCK_PORTS"));
        if (!found.find()) {
            throw new AssertionError("no port of " + listener);
        }
        return Integer.parseInt(found.group(1));
    }

    /** As Paho writes it. */
    static String address(int port) {
        String scheme = IS_WEBSOCKET ? (AUTHORITY == null ? "ws" : "wss") : (AUTHORITY == null ? "tcp" : "ssl");
        return scheme + "://" + HOST + ":" + port + (IS_WEBSOCKET ? "/mqtt" : "");
    }

    static TrustManagerFactory trust() throws Exception {
        KeyStore store = emptyStore();
        store.setCertificateEntry("authority", certificate(AUTHORITY));
        var factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return factory;
    }

    /** Null if there is no certificate to show. */
    static KeyManagerFactory keys() throws Exception {
        if (CERTIFICATE == null) {
            return null;
        }
        String pem = Files.readString(Path.of(System.getenv("CROSSDOCK_CLIENT_KEY")));
        byte[] key = Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
        KeyStore store = emptyStore();
        Certificate[] chain = {certificate(CERTIFICATE)};
        store.setKeyEntry("client", KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(key)), new char[0], chain);
        var factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        factory.init(store, new char[0]);
        return factory;
    }

    static SSLContext context() throws Exception {
        SSLContext context = SSLContext.getInstance("TLS");
        KeyManagerFactory keys = keys();
        context.init(keys == null ? null : keys.getKeyManagers(), trust().getTrustManagers(), null);
        return context;
    }

    private static KeyStore emptyStore() throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, new char[0]);
        return store;
    }

    private static Certificate certificate(String file) throws Exception {
        try (var bytes = new FileInputStream(file)) {
            return CertificateFactory.getInstance("X.509").generateCertificate(bytes);
        }
    }
}
