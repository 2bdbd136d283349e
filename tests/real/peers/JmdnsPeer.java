// SPDX-License-Identifier: Apache-2.0
// JmdnsPeer ADDRESS TYPE LABEL PORT [KEY=VALUE]...: a service, and a browser of its type, by jmdns.
// Every event is a line of JSON. SIGTERM: goodbye, and the end.
import java.net.InetAddress;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import javax.jmdns.JmDNS;
import javax.jmdns.ServiceEvent;
import javax.jmdns.ServiceInfo;
import javax.jmdns.ServiceListener;

public final class JmdnsPeer implements ServiceListener {
  private static String quoted(String text) {
    return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
  }

  private static synchronized void say(String fields) {
    System.out.println("{" + fields + "}");
  }

  @Override
  public void serviceAdded(ServiceEvent event) {
    // Not to be waited for here: the same thread tells all other events.
    event.getDNS().requestServiceInfo(event.getType(), event.getName(), true, 1);
  }

  @Override
  public void serviceRemoved(ServiceEvent event) {
    say("\"event\": \"down\", \"label\": " + quoted(event.getName()));
  }

  @Override
  public void serviceResolved(ServiceEvent event) {
    final ServiceInfo info = event.getInfo();
    final Map<String, String> txt = new TreeMap<>();
    for (String key : Collections.list(info.getPropertyNames())) {
      final String value = info.getPropertyString(key);
      txt.put(key, value == null ? "" : value);
    }
    say("\"event\": \"up\", \"label\": " + quoted(event.getName())
        + ", \"port\": " + info.getPort() + ", \"host\": " + quoted(info.getServer())
        + ", \"addresses\": " + Arrays.stream(info.getHostAddresses())
            .map(JmdnsPeer::quoted).collect(Collectors.joining(", ", "[", "]"))
        + ", \"txt\": " + txt.entrySet().stream()
            .map(pair -> quoted(pair.getKey()) + ": " + quoted(pair.getValue()))
            .collect(Collectors.joining(", ", "{", "}")));
  }

  public static void main(String[] words) throws Exception {
    final String type = words[1] + ".local.";
    final Map<String, String> txt = new LinkedHashMap<>();
    for (String pair : Arrays.copyOfRange(words, 4, words.length)) {
      txt.put(pair.substring(0, pair.indexOf('=')), pair.substring(pair.indexOf('=') + 1));
    }
    final JmDNS jmdns = JmDNS.create(InetAddress.getByName(words[0]), words[2] + "-jmdns");
    jmdns.addServiceListener(type, new JmdnsPeer());
    jmdns.registerService(
        ServiceInfo.create(type, words[2], Integer.parseInt(words[3]), 0, 0, txt));
    say("\"event\": \"registered\"");
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      jmdns.unregisterAllServices();
      try {
        jmdns.close();
      } catch (java.io.IOException failure) {
        say("\"event\": \"failed\"");
      }
    }));
    Thread.currentThread().join();
  }
}
