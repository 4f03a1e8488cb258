%% The engine as a child process of EMQX: its start, its log, its end (docs/emqx-link.md, "Spawned engine").
%%
%% idle ── run(Program) ──▶ starting ── {"listening": Port} ──▶ running, told to the link
%%   ▲                        │ {"problem": …}, silence, its end      │ its end
%%   └── run(none) ───────────┴──────────▶ waiting ◀──────────────────┘     after a delay, which doubles: starting
%%
%% The end of its stdin is what ends it, whoever closes it: we, or the system when EMQX is killed.
-module(emqx_omp_engine).
-behaviour(gen_server).

-export([start_link/0, run/1, kill/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, format_status/1]).

-define(FILE_NAME, "emqx-engine.mjs").
%% ms until it must have said where it listens, and until it must have ended once its stdin is closed.
-define(START_TIMEOUT, 20000).
-define(END_TIMEOUT, 15000).
-define(LONGEST_DELAY, 30000).
%% An engine that ran for so long was well, in ms.
-define(LONG_UP, 60000).
%% Bytes of a line of its output, and of what is logged of it.
-define(MAX_LINE, 65536).
-define(MAX_LOGGED, 16384).

-record(state, {
    program = none :: none | binary(),
    port = none :: none | port(),
    os_pid = none :: none | non_neg_integer(),
    secret :: undefined | fun(() -> binary()),
    %% Once it has said where.
    listening = none :: none | inet:port_number(),
    %% In the middle of a line that is too long.
    is_continued = false :: boolean(),
    started = 0 :: integer(),
    delay = first_delay() :: pos_integer(),
    timer = none :: none | reference()
}).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Runs it with this program, a Node; none: ends it.
-spec run(binary() | none) -> ok.
run(Program) -> gen_server:cast(?MODULE, {run, Program}).

%% It hangs: kills it, where it runs, and starts it again.
-spec kill() -> ok.
kill() -> gen_server:cast(?MODULE, kill).

init([]) ->
    process_flag(trap_exit, true),
    process_flag(sensitive, true),
    {ok, #state{}}.

handle_call(_, _, State) ->
    {noreply, State}.

handle_cast(kill, #state{port = none} = State) ->
    {noreply, State};
handle_cast(kill, State) ->
    {noreply, again("The engine does not answer any more: it is killed", killed(State))};
handle_cast({run, Program}, #state{program = Program, port = Port} = State) when Port =/= none ->
    %% A link that began anew asks for what is there.
    tell(State),
    {noreply, State};
handle_cast({run, Program}, State) ->
    {noreply, start((finish(State))#state{program = Program, delay = first_delay()})}.

handle_info({Port, {data, {Kind, Line}}}, #state{port = Port, is_continued = IsContinued} = State) ->
    After = State#state{is_continued = Kind =:= noeol},
    case IsContinued of
        true -> {noreply, After};
        false -> {noreply, line(Line, After)}
    end;
handle_info({Port, {exit_status, Status}}, #state{port = Port} = State) ->
    {noreply, again(io_lib:format("The engine has ended with ~b", [Status]), State#state{port = none, os_pid = none})};
handle_info({'EXIT', Port, _}, #state{port = Port} = State) ->
    {noreply, again("The engine has ended", State#state{port = none, os_pid = none})};
handle_info({timeout, Timer, Why}, #state{timer = Timer} = State) ->
    case Why of
        start -> {noreply, start(State#state{timer = none})};
        silence -> {noreply, again("The engine did not start in time", killed(State#state{timer = none}))}
    end;
handle_info(_, State) ->
    {noreply, State}.

terminate(_, State) ->
    _ = finish(State),
    ok.

%% Nothing of the state and the messages.
format_status(Status) ->
    maps:map(fun(_, _) -> hidden end, Status).

%%% Start

start(#state{program = none} = State) ->
    State;
start(#state{program = Program} = State) ->
    case os:find_executable(binary_to_list(Program)) of
        false -> again(["No such program: ", Program], State);
        Path -> start(Path, State)
    end.

start(Path, State) ->
    File = filename:join(filename:dirname(filename:dirname(code:which(?MODULE))), ?FILE_NAME),
    Directory = emqx_omp_emqx:data_directory(),
    Options = [{args, [File]}, {cd, Directory}, {env, environment()}, {line, ?MAX_LINE}, binary, exit_status, hide],
    try open_port({spawn_executable, Path}, Options) of
        Port ->
            Secret = binary:encode_hex(crypto:strong_rand_bytes(32)),
            Greeting = #{
                <<"protocol">> => 1,
                <<"secret">> => Secret,
                <<"dataDirectory">> => unicode:characters_to_binary(Directory)
            },
            _ = catch port_command(Port, [emqx_omp_emqx:json(Greeting), $\n]),
            {os_pid, OsPid} = os_pid(Port),
            State#state{
                port = Port,
                os_pid = OsPid,
                secret = fun() -> Secret end,
                listening = none,
                is_continued = false,
                started = erlang:monotonic_time(millisecond),
                timer = erlang:start_timer(?START_TIMEOUT, self(), silence)
            }
    catch
        error:Reason -> again([State#state.program, " cannot be started: ", io_lib:format("~0p", [Reason])], State)
    end.

%% One that has ended at once has none any more.
os_pid(Port) ->
    case erlang:port_info(Port, os_pid) of
        undefined -> {os_pid, none};
        Found -> Found
    end.

%% EMQX's own settings are no business of its.
environment() ->
    IsOurs = fun(Name) -> lists:any(fun(Prefix) -> lists:prefix(Prefix, Name) end, ["EMQX_", "ERL_", "RELEASE_"]) end,
    [{Name, false} || {Name, _} <- os:env(), IsOurs(Name)].

%%% What it writes

line(Line, State) ->
    case emqx_omp_emqx:from_json(Line) of
        #{<<"listening">> := Number} when is_integer(Number), State#state.listening =:= none ->
            Listening = (without_timer(State))#state{listening = Number},
            tell(Listening),
            Listening;
        #{<<"problem">> := Text} when is_binary(Text), State#state.listening =:= none ->
            again(["The engine cannot start: ", logged(Text)], finish(State));
        #{<<"msg">> := Text} = Entry when is_binary(Text) ->
            More = maps:without([<<"level">>, <<"msg">>], Entry),
            emqx_omp_log:log(level(Entry), [logged(Text), logged(more(More))]),
            State;
        _ ->
            emqx_omp_log:log(warning, logged(Line)),
            State
    end.

more(More) when map_size(More) =:= 0 -> <<>>;
more(More) -> <<" ", (emqx_omp_emqx:json(More))/binary>>.

logged(Text) when byte_size(Text) > ?MAX_LOGGED -> [binary:part(Text, 0, ?MAX_LOGGED), " ..."];
logged(Text) -> Text.

level(#{<<"level">> := <<"debug">>}) -> debug;
level(#{<<"level">> := <<"trace">>}) -> debug;
level(#{<<"level">> := <<"info">>}) -> info;
level(#{<<"level">> := <<"error">>}) -> error;
level(#{<<"level">> := <<"fatal">>}) -> critical;
level(_) -> warning.

%%% End

tell(#state{listening = none}) -> ok;
tell(#state{listening = Number, secret = Secret}) -> emqx_omp_link:engine({listening, Number, Secret}).

%% It is not there: the link says why, and it is started again after a while.
again(Text, #state{started = Started, delay = Delay0} = State0) ->
    emqx_omp_link:engine({trouble, unicode:characters_to_binary(Text)}),
    State = without_timer(State0),
    Delay =
        case State#state.listening =/= none andalso erlang:monotonic_time(millisecond) - Started > ?LONG_UP of
            true -> first_delay();
            false -> Delay0
        end,
    State#state{
        listening = none,
        delay = min(Delay * 2, ?LONGEST_DELAY),
        timer = erlang:start_timer(Delay, self(), start)
    }.

%% Closes its stdin, and waits for its end, which is forced in the end.
finish(State) -> finish(?END_TIMEOUT, State).

killed(State) -> finish(0, State).

finish(_, #state{port = none} = State) ->
    without_timer(State);
finish(Patience, #state{port = Port, os_pid = OsPid} = State) ->
    _ = catch port_close(Port),
    OsPid =:= none orelse await_end(integer_to_list(OsPid), erlang:monotonic_time(millisecond) + Patience),
    (without_timer(State))#state{port = none, os_pid = none, listening = none}.

await_end(OsPid, Deadline) ->
    case os:cmd("kill -0 " ++ OsPid ++ " 2>&1") of
        "" ->
            case erlang:monotonic_time(millisecond) < Deadline of
                true ->
                    timer:sleep(50),
                    await_end(OsPid, Deadline);
                false ->
                    _ = os:cmd("kill -9 " ++ OsPid),
                    ok
            end;
        _ ->
            ok
    end.

without_timer(#state{timer = none} = State) ->
    State;
without_timer(#state{timer = Timer} = State) ->
    _ = erlang:cancel_timer(Timer),
    State#state{timer = none}.

first_delay() -> application:get_env(emqx_offline_message_plugin, retry_delay, 500).
