// SPDX-License-Identifier: Apache-2.0
// Lookup NAME...: as lookup.c, all families at once by InetAddress.
import java.net.InetAddress;
import java.net.UnknownHostException;

class Lookup {
  public static void main(String[] names) {
    for (String name : names) {
      long begun = System.nanoTime();
      StringBuilder texts = new StringBuilder();
      try {
        for (InetAddress found : InetAddress.getAllByName(name))
          texts.append(' ').append(found.getHostAddress());
      } catch (UnknownHostException failed) {
        texts.append(" ! ").append(failed.getMessage());
      }
      System.out.println(name + " any " + (System.nanoTime() - begun) / 1_000_000 + texts);
    }
  }
}
