import com.google.gson.Gson;
import com.pusher.client.Pusher;
import com.pusher.client.PusherOptions;
import com.pusher.client.channel.ChannelEventListener;
import com.pusher.client.channel.PresenceChannelEventListener;
import com.pusher.client.channel.PrivateChannelEventListener;
import com.pusher.client.channel.PrivateEncryptedChannelEventListener;
import com.pusher.client.channel.PusherEvent;
import com.pusher.client.channel.User;
import com.pusher.client.connection.ConnectionEventListener;
import com.pusher.client.connection.ConnectionState;
import com.pusher.client.connection.ConnectionStateChange;
import com.pusher.client.util.HttpChannelAuthorizer;
import com.pusher.client.util.HttpUserAuthenticator;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Driver does with the unmodified Java client what its input says, one command a line
 * with tabs between the words, and prints what the client tells, one JSON array a line.
 * Arguments: host, port, key, URL of the application that signs, events to bind.
 */
public class Driver {
  private static final Gson GSON = new Gson();
  private static String[] bound;

  public static void main(String[] args) throws Exception {
    bound = args[4].split(",");
    PusherOptions options = new PusherOptions()
        .setHost(args[0]).setWsPort(Integer.parseInt(args[1])).setUseTLS(false)
        .setActivityTimeout(2_000).setPongTimeout(5_000)
        .setChannelAuthorizer(new HttpChannelAuthorizer(args[3] + "/auth"))
        .setUserAuthenticator(new HttpUserAuthenticator(args[3] + "/user-auth"));
    Pusher pusher = new Pusher(args[2], options);
    pusher.user().bindGlobal(event -> tell("to user", event.getEventName(), event.getData()));
    pusher.connect(new ConnectionEventListener() {
      @Override
      public void onConnectionStateChange(ConnectionStateChange change) {
        tell("state", change.getCurrentState().name());
      }

      @Override
      public void onError(String message, String code, Exception e) {
        tell("error", String.valueOf(code), message);
      }
    }, ConnectionState.ALL);
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      obey(pusher, line.split("\t"));
    }
    System.exit(0); // threads of the client are left
  }

  private static void obey(Pusher pusher, String[] words) {
    switch (words[0]) {
      case "subscribe" -> subscribe(pusher, words[1]);
      case "unsubscribe" -> pusher.unsubscribe(words[1]);
      case "trigger" -> {
        if (words[1].startsWith("presence-")) {
          pusher.getPresenceChannel(words[1]).trigger(words[2], words[3]);
        } else {
          pusher.getPrivateChannel(words[1]).trigger(words[2], words[3]);
        }
      }
      case "signin" -> pusher.signin();
      case "user" -> tell("user", pusher.user().userId());
      case "disconnect" -> pusher.disconnect();
      case "connect" -> pusher.connect();
      default -> throw new IllegalArgumentException(words[0]);
    }
  }

  private static void subscribe(Pusher pusher, String name) {
    if (name.startsWith("presence-")) {
      pusher.subscribePresence(name, new Presence(), bound);
    } else if (name.startsWith("private-encrypted-")) {
      pusher.subscribePrivateEncrypted(name, new Encrypted(), bound);
    } else if (name.startsWith("private-")) {
      pusher.subscribePrivate(name, new Private(), bound);
    } else {
      pusher.subscribe(name, new Public(), bound);
    }
  }

  private static synchronized void tell(String... words) {
    System.out.println(GSON.toJson(words));
  }

  private static class Public implements ChannelEventListener {
    @Override
    public void onSubscriptionSucceeded(String channel) {
      tell("succeeded", channel);
    }

    @Override
    public void onEvent(PusherEvent event) {
      tell("event", event.getChannelName(), event.getEventName(), event.getData(), String.valueOf(event.getUserId()));
    }

    @Override
    public void onError(String message, Exception e) {
      tell("channel error", message);
    }
  }

  private static class Private extends Public implements PrivateChannelEventListener {
    @Override
    public void onAuthenticationFailure(String message, Exception e) {
      tell("not signed", message);
    }
  }

  private static class Encrypted extends Private implements PrivateEncryptedChannelEventListener {
    @Override
    public void onDecryptionFailure(String event, String reason) {
      tell("not decrypted", event, reason);
    }
  }

  private static class Presence extends Private implements PresenceChannelEventListener {
    @Override
    public void onUsersInformationReceived(String channel, Set<User> users) {
      tell("users", channel, users.stream().map(User::getId).sorted().collect(Collectors.joining(",")));
    }

    @Override
    public void userSubscribed(String channel, User user) {
      tell("joined", channel, user.getId(), user.getInfo());
    }

    @Override
    public void userUnsubscribed(String channel, User user) {
      tell("left", channel, user.getId());
    }
  }
}
