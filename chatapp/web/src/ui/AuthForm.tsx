import { useId, useState, type FormEvent } from "react";
import { sentence } from "../api";
import { keep } from "../chat/browser";
import type { Config, SignedIn } from "../model";
import { enter, mayCreate } from "../signin";
import { Logo } from "./icons";
import { inviteToken } from "./useRoute";

const REMEMBERED = "chat.name";

function welcome(config: Config, invite: string): string {
  if (config.firstAccount) return "You are the first one here. This account will be the administrator's.";
  if (invite !== "") return "You are invited. Choose a name and a password.";
  if (mayCreate(config, invite)) return "Sign in, or choose a new name and password to join.";
  if (config.signup === "invite") return "Sign in. To join, ask the administrator for an invite link.";
  return "Sign in to your account.";
}

/** The one form at the door: a known name signs in, a new one joins. */
export function AuthForm({ config, onSignedIn }: { config: Config; onSignedIn: (signedIn: SignedIn) => void }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const problemId = useId();
  const invite = inviteToken();

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const name = String(form.get("name")).trim();
    setBusy(true);
    setProblem("");
    try {
      const signedIn = await enter(config, name, String(form.get("password")), invite);
      keep.set(REMEMBERED, signedIn.me.name);
      if (invite) history.replaceState(null, "", location.pathname);
      onSignedIn(signedIn);
    } catch (error) {
      setProblem(sentence(error));
      setBusy(false);
    }
  };

  const remembered = keep.get(REMEMBERED) ?? "";
  const known = remembered !== "" && !config.firstAccount && invite === "";
  return (
    <main className="door">
      <form className="card door-form" data-testid="auth-form" aria-label="Sign in" onSubmit={(e) => void submit(e)}>
        <Logo />
        <h1>{known ? "Welcome back" : "Welcome"}</h1>
        <p className="quiet">{welcome(config, invite)}</p>
        <label className="field">
          <span>Name</span>
          <input name="name" data-testid="name" required autoFocus={remembered === ""} autoComplete="username"
            autoCapitalize="none" spellCheck={false} maxLength={200} defaultValue={remembered} />
        </label>
        <label className="field">
          <span>Password</span>
          <input name="password" data-testid="password" type="password" required autoFocus={remembered !== ""}
            autoComplete="current-password" aria-describedby={problem ? problemId : undefined} />
        </label>
        <p id={problemId} className="problem" role="alert">{problem}</p>
        <button className="primary wide" data-testid="submit-auth" type="submit" disabled={busy}>
          {busy ? "One moment…" : "Continue"}
        </button>
      </form>
    </main>
  );
}
