import type Pusher from "pusher-js";
import type { PresenceChannel } from "pusher-js";

/** subscribing: the server has not answered; live: events come; refused: it said no. */
export type Link = "subscribing" | "live" | "refused";

/** A refused channel is tried again after this long (ms), and up to half as much more. */
const TRY_AGAIN = 30_000;

export type Hooks = {
  /** Binds what is wanted to a channel that is new. */
  bind(channel: PresenceChannel): void;
  linkChanged(link: Link): void;
  /** The server knows the page, and gives it all that it has missed (whole), or cannot. */
  continues(whole: boolean): void;
};

/**
 * One subscription, over however many sockets, and over changes of the
 * channel's name. pusher-js subscribes again on each new socket.
 */
export class Subscription {
  link: Link = "subscribing";
  private channel: PresenceChannel | null = null;
  private movesTo = "";
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly pusher: Pusher, private channelName: string, private readonly hooks: Hooks) {
    this.subscribe();
  }

  get name(): string {
    return this.channelName;
  }

  /** Subscribes to another name, after a delay (ms), and no longer to the present one. */
  move(name: string, delay = 0): void {
    if (name === this.channelName) return;
    this.drop();
    this.channelName = name;
    this.become("subscribing");
    if (delay === 0) this.subscribe();
    else this.timer = setTimeout(() => this.subscribe(), delay);
  }

  /** The server is about to refuse the present name, since this is the new one. */
  moved(name: string): void {
    this.movesTo = name;
  }

  close(): void {
    this.drop();
  }

  /** The socket is gone: the next one subscribes. */
  socketLost(): void {
    if (this.link === "subscribing") return;
    if (this.channel) clearTimeout(this.timer);
    this.become("subscribing");
  }

  trigger(event: string, data: unknown): boolean {
    return this.link === "live" && this.channel !== null && this.channel.trigger(event, data);
  }

  private subscribe(): void {
    const channel = this.pusher.subscribe(this.channelName) as PresenceChannel;
    this.channel = channel;
    // The hooks come first: they see the channel as it is when it becomes live.
    this.hooks.bind(channel);
    channel.bind("pusher:subscription_succeeded", () => {
      clearTimeout(this.timer);
      this.become("live");
    });
    channel.bind("pusher:subscription_error", () => this.refuse());
    channel.bind("pusher:resumed", () => this.hooks.continues(true));
    channel.bind("pusher:missed", () => this.hooks.continues(false));
  }

  private drop(): void {
    clearTimeout(this.timer);
    this.channel?.unbind_all();
    if (this.channel) this.pusher.unsubscribe(this.channel.name);
    this.channel = null;
  }

  /** The server said no. */
  refuse(): void {
    // pusher-js keeps a channel that the server refused as pending, and would
    // neither forget it nor subscribe to it again.
    this.channel?.disconnect();
    if (this.movesTo !== "" && this.movesTo !== this.channelName) return this.move(this.movesTo);
    clearTimeout(this.timer);
    // It may be full, and have room later. The link stays "refused" meanwhile.
    this.timer = setTimeout(() => {
      this.drop();
      this.subscribe();
    }, TRY_AGAIN * (1 + Math.random() / 2));
    this.become("refused");
  }

  private become(link: Link): void {
    if (link === this.link) return;
    this.link = link;
    this.hooks.linkChanged(link);
  }
}
