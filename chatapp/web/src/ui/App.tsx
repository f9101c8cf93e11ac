import { useEffect, useState } from "react";
import { ApiError, door, sentence } from "../api";
import { browser } from "../chat/browser";
import { Chat } from "../chat/chat";
import type { End } from "../chat/session";
import type { Config, SignedIn } from "../model";
import { AuthForm } from "./AuthForm";
import { ChatContext } from "./context";
import { Shell } from "./Shell";

type Stage =
  | { at: "greeting"; /** somebody else signed in in another tab */ other: boolean }
  | { at: "form"; config: Config }
  | { at: "chat"; chat: Chat };

/** What the server says about itself and us. */
async function greet(): Promise<[Config, SignedIn | null]> {
  return Promise.all([
    door.config(),
    door.me().catch((problem: unknown) => {
      if (problem instanceof ApiError && problem.status === 401) return null;
      throw problem;
    }),
  ]);
}

/** The whole client: the sign-in form, or the chat of whoever is signed in. */
export function App() {
  const [stage, setStage] = useState<Stage>({ at: "greeting", other: false });

  const enter = (config: Config, signedIn: SignedIn, notice = "") => {
    const chat = new Chat(config, signedIn, browser, (end) => leave(end, config, chat));
    chat.notice(notice);
    setStage({ at: "chat", chat });
  };
  const leave = (end: End, config: Config, chat: Chat) => {
    chat.stop();
    setStage(end === "other" ? { at: "greeting", other: true } : { at: "form", config: { ...config, firstAccount: false } });
  };

  switch (stage.at) {
    case "greeting":
      return (
        <Greeting onGreeted={(config, signedIn) => {
          if (!signedIn) return setStage({ at: "form", config });
          enter(config, signedIn, stage.other ? `You are ${signedIn.me.name} here now: somebody signed in in another tab.` : "");
        }} />
      );
    case "form":
      return (
        <AuthForm config={stage.config} onSignedIn={(signedIn) => {
          browser.announce(signedIn.me.id);
          enter(stage.config, signedIn);
        }} />
      );
    case "chat":
      return (
        <ChatContext value={stage.chat}>
          <Shell key={stage.chat.store.get().me.id} />
        </ChatContext>
      );
  }
}

/** Asks the server who we are, until it answers. */
function Greeting({ onGreeted }: { onGreeted: (config: Config, signedIn: SignedIn | null) => void }) {
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let wanted = true;
    let again: ReturnType<typeof setTimeout> | undefined;
    const tryOnce = (): void => {
      greet().then(
        ([config, signedIn]) => wanted && onGreeted(config, signedIn),
        (trouble: unknown) => {
          if (!wanted) return;
          setProblem(sentence(trouble));
          again = setTimeout(tryOnce, 2_000);
        },
      );
    };
    tryOnce();
    return () => {
      wanted = false;
      clearTimeout(again);
    };
    // Once: the attempts repeat themselves.
  }, []);
  return <main className="splash" role="status">{problem && <p>{problem} Trying again…</p>}</main>;
}
