import { useEffect, useState } from "react";
import { api, ApiError, sentence } from "../api";
import { Chat } from "../chat";
import type { Config, SignedIn } from "../model";
import { AuthForm } from "./AuthForm";
import { ChatContext } from "./context";
import { Shell } from "./Shell";

type Stage =
  | { at: "loading"; problem: string }
  | { at: "form"; config: Config }
  | { at: "chat"; chat: Chat };

/** What the server says about itself and us, at the start of the page. */
async function greet(): Promise<[Config, SignedIn | null]> {
  return Promise.all([
    api.config(),
    api.me().catch((problem: unknown) => {
      if (problem instanceof ApiError && problem.status === 401) return null;
      throw problem;
    }),
  ]);
}

/** The whole client: the sign-in form, or the chat of whoever is signed in. */
export function App() {
  const [stage, setStage] = useState<Stage>({ at: "loading", problem: "" });

  const enter = (config: Config, signedIn: SignedIn) => {
    const chat = new Chat(config, signedIn, () => leave(config, chat));
    setStage({ at: "chat", chat });
  };
  const leave = (config: Config, chat: Chat) => {
    chat.stop();
    setStage({ at: "form", config: { ...config, firstAccount: false } });
  };

  useEffect(() => {
    if (stage.at !== "loading") return;
    let wanted = true;
    let again: ReturnType<typeof setTimeout> | undefined;
    const tryOnce = (): void => {
      greet().then(
        ([config, signedIn]) => {
          if (!wanted) return;
          if (signedIn) enter(config, signedIn);
          else setStage({ at: "form", config });
        },
        (problem: unknown) => {
          if (!wanted) return;
          setStage({ at: "loading", problem: sentence(problem) });
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

  switch (stage.at) {
    case "loading":
      return <main className="splash" role="status">{stage.problem && <p>{stage.problem} Trying again…</p>}</main>;
    case "form":
      return <AuthForm config={stage.config} onSignedIn={(signedIn) => enter(stage.config, signedIn)} />;
    case "chat":
      return (
        <ChatContext value={stage.chat}>
          <Shell />
        </ChatContext>
      );
  }
}
