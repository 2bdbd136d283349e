// SPDX-License-Identifier: Apache-2.0
// ConsulWatch.java PORT SECONDS: what the frameworks of Java do with Consul, over the JDK's client. Registers with a
// body of unknown length, and watches the names of services and the instances of one, each in a loop that asks again
// as soon as it is answered. The last line of output is JSON: status of the registration, and requests of each watch.
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class ConsulWatch {
  static final HttpClient client = HttpClient.newHttpClient();
  static String base;

  static HttpResponse<String> ask(String path) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create(base + path)).build();
    return client.send(request, HttpResponse.BodyHandlers.ofString());
  }

  static int watch(String path, long until) {
    String index = "";
    int count = 0;
    try {
      while (System.nanoTime() < until) {
        ++count;
        HttpResponse<String> answer = ask(path + "?wait=2s&index=" + index);
        if (answer.statusCode() != 200) throw new IllegalStateException(answer.body());
        index = answer.headers().firstValue("X-Consul-Index").get();
      }
    } catch (Exception error) {
      System.err.println(error);
      System.exit(1);
    }
    return count;
  }

  public static void main(String[] args) throws Exception {
    base = "http://127.0.0.1:" + args[0];
    String service = "{\"ID\":\"java-1\",\"Name\":\"java\",\"Port\":7001,\"Check\":{\"TTL\":\"30s\"}}";
    HttpRequest register =
        HttpRequest.newBuilder(URI.create(base + "/v1/agent/service/register"))
            .header("Content-Type", "application/json")
            .PUT(HttpRequest.BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(service.getBytes())))
            .build();
    int registered = client.send(register, HttpResponse.BodyHandlers.ofString()).statusCode();
    HttpRequest pass = HttpRequest.newBuilder(URI.create(base + "/v1/agent/check/pass/service:java-1"))
                           .PUT(HttpRequest.BodyPublishers.noBody())
                           .build();
    int passed = client.send(pass, HttpResponse.BodyHandlers.ofString()).statusCode();
    long until = System.nanoTime() + Long.parseLong(args[1]) * 1_000_000_000L;
    int[] counts = new int[2];
    Thread names = new Thread(() -> counts[0] = watch("/v1/catalog/services", until));
    Thread instances = new Thread(() -> counts[1] = watch("/v1/health/service/hello", until));
    names.start();
    instances.start();
    names.join();
    instances.join();
    System.out.printf("{\"registered\":%d,\"passed\":%d,\"requests\":{\"services\":%d,\"instances\":%d}}%n", registered,
                      passed, counts[0], counts[1]);
  }
}
